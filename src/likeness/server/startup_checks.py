"""Checks of logs and addresses before the server starts, for `serve` and `serve --check`."""

from likeness.server import activation
from likeness.server.listening import check_address
from likeness.server.log_files import check_log_file
from likeness.server.settings import Settings


def check_startup(settings: Settings) -> None:
    """Raises SettingsError for logs that cannot be written and for an address that cannot be bound.

    An address in use is accepted: `serve` reports it when it listens.
    """
    for path in (settings.access_log, settings.audit_log):
        if path is not None:
            check_log_file(path)
    if not activation.has_socket():
        check_address(settings)
