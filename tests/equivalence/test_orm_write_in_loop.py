"""PRF504: what `bulk_create` changes, and what it leaves as it was, on Django's own SQLite backend."""

import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source

pytest.importorskip("django")

BEFORE = """
from shop.models import Item

def f(rows):
    for name, price in rows:
        Item.objects.create(name=name, price=price)
"""


def fixed(text: str) -> str:
    config = Config(select=("PRF504",))
    result = fix(
        Source("f.py", text.encode()), lambda source: engine.check(source, config), Applicability.UNSAFE
    )
    assert not result.defects and "bulk_create([Item(name=name, price=price) for name, price in rows])" in (
        result.source.text
    )
    return result.source.text


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model with a unique name and a price that must be there, in a file of its own."""
    from django.conf import settings

    path = tmp_path_factory.mktemp("django") / "shop.db"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[])
    import django

    django.setup()
    from django.db import connection, connections, models

    columns = {"name": models.TextField(unique=True), "price": models.IntegerField()}
    meta = type("Meta", (), {"app_label": "shop"})
    model = type("Item", (models.Model,), {**columns, "Meta": meta, "__module__": "shop.models"})
    with connection.schema_editor() as editor:
        editor.create_model(model)
    modules = {name: types.ModuleType(name) for name in ("shop", "shop.models")}
    modules["shop.models"].Item = model  # type: ignore[attr-defined]
    sys.modules.update(modules)
    yield model
    for name in modules:
        del sys.modules[name]
    connections.close_all()


class Outcome(NamedTuple):
    error: str
    rows: list[tuple[str, int]]
    saved: int  # signals sent


def outcome(text: str, rows: Any, model: Any, together: bool) -> Outcome:
    from contextlib import nullcontext

    from django.db import transaction
    from django.db.models.signals import post_save

    names: dict[str, Any] = {}
    exec(compile(text, "<function>", "exec"), names)
    model.objects.all().delete()
    model.objects.create(name="there", price=1)
    saved: list[Any] = []

    def note(sender: Any, **_: Any) -> None:
        saved.append(sender)

    post_save.connect(note, sender=model)
    error = ""
    try:
        with transaction.atomic() if together else nullcontext():
            names["f"](rows)
    except Exception as raised:
        error = type(raised).__name__
    finally:
        post_save.disconnect(note, sender=model)
    return Outcome(error, list(model.objects.order_by("pk").values_list("name", "price")), len(saved))


def pairs(
    count: int, fault: tuple[str, int | None] | None = None, at: int = 0
) -> list[tuple[str, int | None]]:
    rows: list[tuple[str, int | None]] = [(f"item {number}", number) for number in range(count)]
    if fault is not None:
        rows[at] = fault
    return rows


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 500])
@pytest.mark.parametrize("lazy", [False, True], ids=["list", "iterator"])
def test_the_same_rows(item: Any, count: int, lazy: bool, together: bool) -> None:
    after = fixed(BEFORE)
    old, new = (
        outcome(text, iter(pairs(count)) if lazy else pairs(count), item, together)
        for text in (BEFORE, after)
    )
    assert (old.error, old.rows) == (new.error, new.rows) == ("", [("there", 1), *pairs(count)])
    assert (old.saved, new.saved) == (count, 0)  # bulk_create sends no signals


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("fault", [("there", 1), ("item", None)], ids=["duplicate", "null"])
def test_an_error_leaves_the_rows_before_it_only_in_a_loop(
    item: Any, fault: tuple[str, int | None], at: int
) -> None:
    old, new = (outcome(text, pairs(4, fault, at), item, False) for text in (BEFORE, fixed(BEFORE)))
    assert (old.error, new.error) == ("IntegrityError", "IntegrityError")
    assert old.rows == [("there", 1), *pairs(4)[:at]] and new.rows == [("there", 1)]


@pytest.mark.parametrize("at", range(4))
def test_an_error_in_a_transaction_leaves_nothing_either_way(item: Any, at: int) -> None:
    old, new = (outcome(text, pairs(4, ("there", 1), at), item, True) for text in (BEFORE, fixed(BEFORE)))
    assert old._replace(saved=0) == new._replace(saved=0) == Outcome("IntegrityError", [("there", 1)], 0)
