"""Texts that several tests have checked."""

# One finding, of PRF102.
SLOW_PATH = """\
def path_of(names):
    path = ""
    for name in names:
        path = path + "/" + str(name)
    return path
"""
