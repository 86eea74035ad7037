"""Text that is not YAML (units, TOML, Corefile, scripts) from `templates/`. An unknown variable is an error.

Templates come with the code and never change while it runs; reading them is the only thing these layers read.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kubeforge import resources

__all__ = ["render"]


@cache
def _environment() -> Environment:
    # The results are configuration files, not HTML; values are quoted by `tojson` where the format has strings.
    return Environment(
        loader=FileSystemLoader(resources.templates()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - see above
    )


def render(template: str, **values: object) -> str:
    """Return a template's text.

    Args:
        template: path below `templates/`.
        **values: every variable it names.

    Raises:
        jinja2.UndefinedError: it names one that was not given.
        jinja2.TemplateNotFound: there is none.
    """
    return _environment().get_template(template).render(values)
