"""From a package folder and options to a host that is ready to answer."""

from __future__ import annotations

from pathlib import Path

from siftline.application import Application, default_data
from siftline.errors import UsageError
from siftline.serve.host import Host
from siftline.serve.options import Options
from siftline.serve.warm import warm

#: Where the index and deployed packages lie when the server is started without a package.
DEFAULT_DATA = Path("siftline-data")


def data_folder(package: Path | None, options: Options) -> Path:
    """The folder of the index: as told, else beside the package, else `siftline-data`."""
    if options.data is not None:
        return options.data
    return default_data(package) if package is not None else DEFAULT_DATA


def is_package(folder: Path | None) -> bool:
    """Whether a folder holds a package; UsageError for what is neither that nor empty."""
    if folder is None:
        return False
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{folder}'")
    if (folder / "services.xml").is_file():
        return True
    if next(folder.iterdir(), None) is not None:
        raise UsageError(f"'{folder}' is not an application package: it has no services.xml")
    return False


def open_host(package: Path | None, options: Options) -> Host:
    """A host that serves the package, or waits for a deployment without one.

    Models are loaded and rankings compiled before it returns, so that the first query is answered
    within its timeout.
    """
    data = data_folder(package, options)
    if not is_package(package) or package is None:
        data.mkdir(parents=True, exist_ok=True)
        return Host(options=options, data=data)
    application = Application.open(package, data)
    try:
        warm(application)
    except BaseException:
        application.close()
        raise
    return Host(application, options=options, data=data)
