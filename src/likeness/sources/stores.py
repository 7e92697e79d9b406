"""The stores by bucket pattern, of which the first that matches is used (decision 12)."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from likeness.errors import InvalidS3Object, SettingsError
from likeness.sources.store import ListedObject, Store, StoreSettings


class Stores:
    """All stores of a server, itself a `Store`; each is opened for its first object."""

    def __init__(self, settings: Sequence[StoreSettings]) -> None:
        self._settings = tuple(settings)
        self._open: dict[StoreSettings, Store] = {}

    def fetch(self, bucket: str, name: str, version: str | None, *, max_bytes: int, deadline: float) -> bytes:
        """See `Store.fetch`; raises InvalidS3Object also if no pattern matches the bucket or its settings are wrong."""
        return self._store_of(bucket).fetch(bucket, name, version, max_bytes=max_bytes, deadline=deadline)

    def objects(self, bucket: str, prefix: str) -> Iterator[ListedObject]:
        """See `Store.objects`, and `fetch`."""
        return self._store_of(bucket).objects(bucket, prefix)

    def __len__(self) -> int:
        return len(self._settings)

    def number(self, bucket: str) -> int:
        """The number of the bucket's store, from 0. Raises InvalidS3Object if no pattern matches."""
        for number, settings in enumerate(self._settings):
            if fnmatchcase(bucket, settings.pattern):
                return number
        raise InvalidS3Object(
            f"no store is set for bucket {bucket!r}: give it a pattern in [[s3.buckets]]", "not_found"
        )

    def _store_of(self, bucket: str) -> Store:
        try:
            return self._store(self._settings[self.number(bucket)])
        except SettingsError as error:
            raise InvalidS3Object(str(error), "configuration") from error

    def _store(self, settings: StoreSettings) -> Store:
        # Not under a lock: a store that opens slowly, such as a hanging mount, must not block the others.
        store = self._open.get(settings)
        return self._open.setdefault(settings, open_store(settings)) if store is None else store


def open_store(settings: StoreSettings) -> Store:
    """The store that `settings` describe, not connected yet. Raises SettingsError."""
    if settings.directory is not None:
        from likeness.sources.directory import DirectoryStore

        return DirectoryStore(settings.directory)
    from likeness.sources.s3 import S3Store

    return S3Store(settings)
