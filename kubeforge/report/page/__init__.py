"""One run as one self-contained HTML page: no script, no network, for screens of any width, light and dark."""

from kubeforge.report.page.page import as_html

__all__ = ["as_html"]
