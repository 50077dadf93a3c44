"""Where settings come from and what they may say."""

from pathlib import Path

import pytest

from perflint.model.config import LATEST, Config, ConfigError, Target
from perflint.model.diagnostics import Severity
from perflint.project import settings


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(folder: Path, text: str, **overrides: object) -> Config:
    write(folder / "pyproject.toml", f"[tool.perflint]\n{text}\n")
    return settings.load(folder, None, {key.replace("_", "-"): value for key, value in overrides.items()})[0]


def mistake(folder: Path, text: str) -> str:
    """What is said of a wrong file: one line that names it."""
    with pytest.raises(ConfigError) as error:
        load(folder, text)
    assert str(folder / "pyproject.toml") in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_field_has_a_key() -> None:
    assert {key.field for key in settings.KEYS.values()} == set(Config._fields)


def test_all_keys(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        select = ["PRF1", "prf201"]
        extend-select = ["allocation"]
        ignore = ["Quadratic-Str-Accumulation"]
        exclude = ["gen/"]
        target-version = "3.11"
        min-severity = "warning"
        fail-level = "error"
        portable = true
        strict-types = false
        costly-objects = ["a.B"]
        runtime-module = "app.perf"
        runtime-fixes = false
        default-limit = 10
        default-queue-size = 20
        small-limit = 1
        close-on-exception = true
        min-calls = 2
        http-clients = ["a.Client"]
        default-timeout = 9
        debug-any-host = true
        pedantic = true
        [tool.perflint.per-file-ignores]
        "tests/*" = ["PRF2"]
        """,
    )
    assert config == Config(
        select=("PRF1", "PRF201"),
        extend_select=("allocation",),
        ignore=("quadratic-str-accumulation",),
        per_file_ignores=(("tests/*", ("PRF2",)),),
        exclude=("gen/",),
        target=Target((3, 11), (3, 11)),
        min_severity=Severity.WARNING,
        fail_level=Severity.ERROR,
        portable=True,
        strict_types=False,
        costly_objects=("a.B",),
        runtime_module="app.perf",
        runtime_fixes=False,
        default_limit=10,
        default_queue_size=20,
        small_limit=1,
        close_on_exception=True,
        min_calls=2,
        http_clients=("a.Client",),
        default_timeout=9,
        debug_any_host=True,
        pedantic=True,
    )


@pytest.mark.parametrize(
    ("text", "module", "fixes"),
    [
        ("", "perflint.runtime", False),
        ("runtime-fixes = true", "perflint.runtime", True),
        ('runtime-module = "app.perf"', "app.perf", True),
        ('runtime-module = "perflint.runtime"', "perflint.runtime", True),
        ('runtime-module = "_perf2"\nruntime-fixes = false', "_perf2", False),
    ],
)
def test_naming_a_runtime_module_asks_for_its_fixes(
    tmp_path: Path, text: str, module: str, fixes: bool
) -> None:
    config = load(tmp_path, text)
    assert (config.runtime_module, config.runtime_fixes) == (module, fixes)


def test_the_nearest_file_that_speaks_of_perflint_wins(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.perflint]\nportable = true\n")
    write(tmp_path / "a" / "pyproject.toml", "[project]\nname = 'a'\n")
    (tmp_path / "a" / "b").mkdir()
    file = write(tmp_path / "a" / "b" / "c.py", "")
    config, root = settings.load(file)
    assert config.portable
    assert root == tmp_path.resolve()
    write(tmp_path / "a" / "perflint.toml", "portable = false\n")
    config, root = settings.load(file)
    assert not config.portable
    assert root == (tmp_path / "a").resolve()


def test_without_any_file_the_root_is_where_the_search_began(tmp_path: Path) -> None:
    assert settings.load(tmp_path) == (Config(), tmp_path.resolve())


def test_a_named_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    file = write(tmp_path / "conf" / "perf.toml", "portable = true\n")
    config, root = settings.load(tmp_path, file)
    assert config.portable
    assert root == (tmp_path / "conf").resolve()


def test_the_command_line_wins(tmp_path: Path) -> None:
    config = load(tmp_path, 'select = ["PRF1"]\nfail-level = "info"', select=("PRF201",))
    assert (config.select, config.fail_level) == (("PRF201",), Severity.INFO)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (">=3.10", Target((3, 10), LATEST)),
        (">=2.7,!=3.0.*,!=3.1.*,<3.12", Target((3, 0), (3, 11))),
        ("~=3.11", Target((3, 11), LATEST)),
    ],
)
def test_requires_python_is_the_default_target(tmp_path: Path, text: str, target: Target) -> None:
    write(tmp_path / "pyproject.toml", f'[project]\nrequires-python = "{text}"\n')
    write(tmp_path / "a" / "perflint.toml", "")
    assert settings.load(tmp_path / "a")[0].target == target


def test_a_project_without_requires_python_does_not_ask_its_parent(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[project]\nrequires-python = "==3.10"\n')
    write(tmp_path / "a" / "pyproject.toml", '[project]\nname = "a"\n')
    assert settings.load(tmp_path / "a")[0].target == Target()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('selct = ["PRF1"]', "[tool.perflint] selct is no setting; did you mean 'select'?"),
        ('select = "PRF101"', "[tool.perflint] select must be a list of strings"),
        ('select = ["PRF1O1"]', "[tool.perflint] select: no rule is called 'PRF1O1'; did you mean 'PRF1"),
        ('ignore = ["quadratic-str-acumulation"]', "did you mean 'quadratic-str-accumulation'?"),
        ("per-file-ignores = []", "per-file-ignores must be a table"),
        ('per-file-ignores = {"!" = ["PRF1"]}', "per-file-ignores: '!' is no pattern of .gitignore"),
        ('exclude = ["a", "!"]', "exclude: '!' is no pattern of .gitignore"),
        ('per-file-ignores = {"a" = ["X"]}', "per-file-ignores 'a': no rule is called 'X'"),
        (
            'fail-level = "eror"',
            "fail-level must be one of info, warning, error, not 'eror'; did you mean 'error'?",
        ),
        ("fail-level = 2", "fail-level must be one of info, warning, error, not 2"),
        ("portable = 1", "portable must be true or false"),
        ("target-version = 3.11", 'target-version must be a string such as "3.11"'),
        ('target-version = "three"', "target-version: 'three' is not a version; write 3.11 or >=3.10"),
        ("select = [", "not valid TOML"),
        ("runtime-fixes = 1", "[tool.perflint] runtime-fixes must be true or false"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in mistake(tmp_path, text)


NO_MODULES = (
    *('""', "1", "true", '["app"]', '"app/perf.py"', '"app."', '".perf"', '"app..perf"'),
    *('"app.class"', '"None"', '"my-app.perf"', '"app. perf"', '"1app"', '"a\\nb"'),
)


@pytest.mark.parametrize("value", NO_MODULES)
def test_a_runtime_module_can_be_imported(tmp_path: Path, value: str) -> None:
    said = mistake(tmp_path, f"runtime-module = {value}")
    assert 'runtime-module must be the dotted name of a module, such as "app.perf", not ' in said


@pytest.mark.parametrize("key", ["default-limit", "default-queue-size", "small-limit"])
@pytest.mark.parametrize("value", ["0", "-5", "2.0", "inf", "[1]", "'9'", "true"])
def test_bounds_are_whole_numbers(tmp_path: Path, key: str, value: str) -> None:
    said = mistake(tmp_path, f"{key} = {value}")
    assert f"[tool.perflint] {key} must be a whole number of at least 1, not {value}" in said.replace(
        "True", "true"
    )


def test_mistakes_on_the_command_line_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--select: no rule is called 'nope'"):
        load(tmp_path, "", select=("nope",))


def test_a_requires_python_that_is_not_understood(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[project]\nrequires-python = "^3.8"\n')
    with pytest.raises(
        ConfigError, match=r"requires-python '\^3.8' .*; set target-version in \[tool.perflint\]"
    ):
        settings.load(tmp_path)
    assert settings.load(tmp_path, None, {"target-version": "3.11"})[0].target.low == (3, 11)


def test_other_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: No such file"):
        settings.load(tmp_path, tmp_path / "none.toml")
    write(tmp_path / "pyproject.toml", "[tool]\nperflint = 1\n")
    with pytest.raises(ConfigError, match=r"tool.perflint must be a table"):
        settings.load(tmp_path)


def test_per_file_ignores(tmp_path: Path) -> None:
    config = Config(per_file_ignores=(("tests/", ("PRF1",)), ("*_gen.py", ("PRF201",))), ignore=("PRF999",))

    def ignored(name: str) -> tuple[str, ...]:
        return settings.for_file(config, tmp_path, tmp_path / name).ignore

    assert ignored("a.py") == ("PRF999",)
    assert ignored("tests/a.py") == ("PRF999", "PRF1")
    assert ignored("tests/b/a_gen.py") == ("PRF999", "PRF1", "PRF201")


def test_the_common_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a" / "b" / "c.py", "")
    (tmp_path / "a" / "d").mkdir()
    assert settings.common_folder(["a/b/c.py", "a/d"]) == tmp_path / "a"
    assert settings.common_folder(["a/b/c.py"]) == tmp_path / "a" / "b"
    assert settings.common_folder([]) == tmp_path


TWINS = {
    "nothing": ("", False),
    "the rule": ('[tool.ruff.lint]\nselect = ["RUF006"]', True),
    "its family": ('[tool.ruff.lint]\nextend-select = ["E", "RUF"]', True),
    "all": ('[tool.ruff.lint]\nselect = ["ALL"]', True),
    "the older place": ('[tool.ruff]\nselect = ["RUF"]', True),
    "another family": ('[tool.ruff.lint]\nselect = ["E", "F"]', False),
    "all but it": ('[tool.ruff.lint]\nselect = ["ALL"]\nignore = ["RUF006"]', False),
    "its family but not it": ('[tool.ruff.lint]\nselect = ["RUF"]\nignore = ["RUF006"]', False),
    "it, though its family is ignored": ('[tool.ruff.lint]\nselect = ["RUF006"]\nignore = ["RUF"]', True),
    "nonsense": ('[tool.ruff]\nlint = 3\nselect = "RUF"', False),
}


@pytest.mark.parametrize(("text", "off"), TWINS.values(), ids=TWINS)
def test_what_ruff_reports_is_not_said_twice(text: str, off: bool, tmp_path: Path) -> None:
    config = load(tmp_path, f"portable = false\n{text}")
    assert ("PRF308" in config.ignore) is off


def test_a_rule_that_is_named_is_on_whatever_ruff_does(tmp_path: Path) -> None:
    ruff = '[tool.ruff.lint]\nselect = ["RUF"]'
    assert load(tmp_path, f'extend-select = ["PRF308"]\n{ruff}').ignore == ()
    assert load(tmp_path, f'select = ["ALL"]\n{ruff}').ignore == ()


def test_ruffs_own_file_counts_and_its_mistakes_are_ruffs(tmp_path: Path) -> None:
    write(tmp_path / "ruff.toml", '[lint]\nselect = ["RUF"]\n')
    assert load(tmp_path, "").ignore == ("PRF308",)
    write(tmp_path / "ruff.toml", "[lint\n")
    assert load(tmp_path, "").ignore == ()
