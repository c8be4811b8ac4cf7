"""Go templates for `--format`: the part of Go's text/template that people use, over JSON values. Used by commands and
by the tags of log drivers.

Actions, pipelines, variables, comments, trim marks, `if`, `with`, `range`, `else`, `end`, `break`, `continue`, and the
functions of Go and of docker (`json`, `join`, `split`, `upper`, ...). `define`, `template` and `block` are refused.
"""

from .lex import TemplateError, UnknownField
from .run import Template

__all__ = ["Template", "TemplateError", "UnknownField"]
