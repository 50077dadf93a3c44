"""perflint finds performance antipatterns in Python and fixes them.

This module imports nothing, so that `import perflint.runtime` costs nothing.
"""

__version__ = "0.1.0"
