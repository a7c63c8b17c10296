"""botocore's descriptions of AWS, read once for the process.

Each botocore session has a loader of its own, and moto makes a session a service: the table of
endpoints alone would be here fifteen times, 7 MB each. So all sessions share one loader; what it
returns is only ever read. To be called before moto is imported, which makes sessions at once.
"""

import functools

import botocore.loaders
import botocore.session

_by_paths = functools.cache(botocore.loaders.create_loader)


def loader(search_paths: str | None = None) -> botocore.loaders.Loader:
    """The one loader; another one where a session's configuration names more folders."""
    return _by_paths(search_paths)


def share() -> None:
    """Gives every session from now on the same loader."""
    botocore.session.create_loader = loader  # imported there by name
