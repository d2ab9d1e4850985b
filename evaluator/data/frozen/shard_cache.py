"""ShardCache: the shards of one host, each fetched once, verified once a run and mapped by every process there."""

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from assay.evaluator import fingerprint
from assay.evaluator.data.frozen.shards import Reads, ShardReader
from assay.evaluator.storage import Store
from assay.evaluator.storage.local import LocalStore, mapped
from assay.manifests.dataset import Dataset, Shard

_UNUSED_S = 86_400.0
"""What nobody used for so long is removed."""
_TIDIED_EVERY_S = 3_600.0
"""Looking for it takes a second where many runs have left their markers, and every slot opens the cache."""
_LEFT_FREE_BYTES = 1 << 30
"""The disk is never filled further than this: the ledger may lie on it."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ShardCache(ShardReader):
    """A reader that shares the bytes of shards with every process of its user on this host.

    An object of a local store is mapped where it lies; what comes from elsewhere, or is compressed, is kept in a
    folder as a plain Arrow file:

        shards/DIGEST.CONTENT.arrow   the shard's digest, and that of the file, which differs if it was compressed
        shards/DIGEST.*.tmp           half-written
        locks/DIGEST                  held by whoever fetches, verifies or removes the shard; freed with its process
        verified/RUN/DIGEST.STATE     in this run, the file in this state had the bytes that were frozen
        places/RUN.*                  how far a live process has come
        tidied                        when what nobody used was last removed

    A file is trusted only under its marker in `verified`, which a change of the file, another run or a restart of the
    machine makes void. Nothing else depends on the locks: without them a shard would be fetched twice, never wrong.
    """

    def __init__(
        self, dataset: Dataset, store: Store, *, run_id: str, bound_bytes: int, folder: Path | None = None
    ) -> None:
        """Opens the folder, and removes what has not been used for a day, if nobody has within the hour.

        Args:
            dataset: Whose shards.
            store: Where they lie.
            run_id: The run that they are read for.
            bound_bytes: The most that the folder may hold.
            folder: Where the host's copies lie; None: in this user's part of the folder for temporary files.
        """
        super().__init__(dataset, store)
        self._index = {_digest(shard): shard.index for shard in dataset.shards}
        self._run_id, self._bound_bytes = run_id, bound_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._place: BinaryIO | None = None
        self.problem = ""
        """Why shards are read straight from the store; empty while they are shared."""
        try:
            self._folder = _private(folder or _private(Path(tempfile.gettempdir(), f"assay-{os.getuid()}")) / "shards")
            for name in ("shards", "locks", "places"):
                (self._folder / name).mkdir(exist_ok=True)
            _remove_unused(self._folder)
            self._place = (self._folder / "places" / f"{run_id}.{secrets.token_hex(8)}").open("xb", buffering=0)
            fcntl.flock(self._place, fcntl.LOCK_EX)  # for as long as this process lives
            self._move_to(-1)
        except OSError as error:
            self.problem = str(error)

    def rows(self, first_row: int, num_rows: int) -> pa.Table:
        """Some rows in the frozen order; where they lie tells the others which shards this process needs next."""
        self._move_to(self.shards(first_row, num_rows)[-1].index)
        return super().rows(first_row, num_rows)

    def prefetch(self, first_row: int, num_rows: int) -> None:
        """Brings the shards of some rows to this host in a thread of its own. Whoever needs the rows meets its errors."""
        for shard in self.shards(first_row, num_rows):
            self._thread.submit(self._fetch_ahead, shard)

    def close(self) -> None:
        """Leaves the others: from now on this process counts for nothing when room is made."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        place, self._place = self._place, None
        if place is not None:
            Path(place.name).unlink(missing_ok=True)
            place.close()

    def fetch(self, shard: Shard) -> pa.Buffer:
        """The bytes of a shard, verified, from this host's copy if there is one.

        Raises:
            DamageError: The store's are missing, or are not those that were frozen.
        """
        if self._place is None:
            return super().fetch(shard)
        try:
            with _locked(self._lock(_digest(shard))):
                return self._copy(shard) or self._fetched(shard)
        except OSError as error:
            self.problem = str(error)
            return super().fetch(shard)

    def _fetch_ahead(self, shard: Shard) -> None:
        if not self.problem:  # what cannot be kept would be fetched twice
            self.fetch(shard)

    def _copy(self, shard: Shard) -> pa.Buffer | None:
        """The bytes that this host has already, if they are the right ones."""
        started = time.perf_counter()
        if self._is_verified(shard, self._object(shard)):
            return self.store.get(shard.key)
        for path in (self._folder / "shards").glob(f"{_digest(shard)}.*.arrow"):
            buffer = mapped(path)
            if not self._is_verified(shard, path):
                found = fingerprint.blake3_digest(buffer)
                self.count(Reads(fetch_s=time.perf_counter() - started))
                if found.removeprefix("blake3:") != path.name.split(".")[1]:
                    path.unlink()
                    continue
                self._mark_verified(shard, path)
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
            return buffer
        return None

    def _fetched(self, shard: Shard) -> pa.Buffer:
        """The bytes from the store, kept for the others; just the bytes if there is no room for them."""
        buffer = super().fetch(shard)
        started = time.perf_counter()
        plain = _uncompressed(buffer)
        try:
            path = self._object(shard)
            if path is None or plain is not buffer:
                content = shard.blake3 if plain is buffer else fingerprint.blake3_digest(plain)
                path = self._keep(shard, plain, content.removeprefix("blake3:"))
                plain = mapped(path)
            self._mark_verified(shard, path)
            self.problem = ""
        except OSError as error:
            self.problem = str(error)
        self.count(Reads(fetch_s=time.perf_counter() - started))
        return plain

    def _keep(self, shard: Shard, content: pa.Buffer, name: str) -> Path:
        digest = _digest(shard)
        for left in (self._folder / "shards").glob(f"{digest}.*.tmp"):
            left.unlink()  # by a process that died: whoever lives and writes it would hold its lock
        aside = self._folder / "shards" / f"{digest}.{secrets.token_hex(8)}.tmp"
        try:
            with _locked(self._folder / "room"):
                self._make_room(content.size)
                with aside.open("xb") as file:
                    file.truncate(content.size)  # counted from now on
            with aside.open("r+b") as file:
                file.write(memoryview(content))
            return aside.rename(aside.with_name(f"{digest}.{name}.arrow"))
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def _make_room(self, size_bytes: int) -> None:
        """Removes what is needed latest, and no more than is needed: the arms take the shards in turn, again and again.

        Raises:
            OSError: There is not enough room.
        """
        places = self._places()
        num_shards = len(self.dataset.shards)

        def next_use(file: os.DirEntry[str]) -> tuple[int, float]:
            index = self._index.get(file.name.partition(".")[0])
            if index is None or file.name.endswith(".tmp"):
                return num_shards, -file.stat().st_atime
            return min((index - place - 1) % num_shards for place in places), 0.0

        files = []
        for file in os.scandir(self._folder / "shards"):
            with contextlib.suppress(FileNotFoundError):  # renamed into place meanwhile; the stat is kept for later
                file.stat()
                files.append(file)
        held_bytes = sum(file.stat().st_size for file in files)
        free_bytes = shutil.disk_usage(self._folder).free - _LEFT_FREE_BYTES
        too_many = max(held_bytes + size_bytes - self._bound_bytes, size_bytes - free_bytes)
        fits = size_bytes <= self._bound_bytes
        for file in sorted(files, key=next_use, reverse=True) if fits else ():
            if too_many <= 0:
                return
            lock = self._lock(file.name.partition(".")[0])
            with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(lock, wait=False):
                Path(file).unlink()
                too_many -= file.stat().st_size
        if too_many > 0:
            raise OSError(
                f"{self._folder}: no room for a shard of {size_bytes:,} bytes: {too_many:,} bytes more are needed "
                f"within resources.shard_cache_bytes ({self._bound_bytes:,}) and what the disk has free"
            )

    def _move_to(self, index: int) -> None:
        if self._place is not None:
            os.pwrite(self._place.fileno(), b"%8d" % index, 0)

    def _places(self) -> list[int]:
        """How far each live process of this run has come; those of dead ones are removed."""
        found = []
        for path in (self._folder / "places").glob(f"{self._run_id}.*"):
            try:
                with _locked(path, wait=False):
                    path.unlink()
            except BlockingIOError:
                found.append(int(path.read_bytes() or b"-1"))
        return found or [-1]

    def _lock(self, digest: str) -> Path:
        return self._folder / "locks" / digest

    def _object(self, shard: Shard) -> Path | None:
        return self.store.path(shard.key) if isinstance(self.store, LocalStore) else None

    def _marker(self, shard: Shard, path: Path) -> Path:
        found = path.stat()
        boot = _BOOT_ID.read_text() if _BOOT_ID.exists() else ""  # written pages may be lost with the machine
        state = f"{path} {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {boot}"
        name = fingerprint.blake3_digest(state.encode()).removeprefix("blake3:")[:16]
        return self._folder / "verified" / self._run_id / f"{_digest(shard)}.{name}"

    def _is_verified(self, shard: Shard, path: Path | None) -> bool:
        return path is not None and path.exists() and self._marker(shard, path).exists()

    def _mark_verified(self, shard: Shard, path: Path) -> None:
        marker = self._marker(shard, path)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def _digest(shard: Shard) -> str:
    return shard.blake3.removeprefix("blake3:")


def _private(folder: Path) -> Path:
    """The folder, made if it is not there, and nobody else's: others could exchange what is in it.

    Raises:
        PermissionError: It is somebody else's, or others may enter it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:  # a link is open to everybody
        raise PermissionError(f"{folder}: not a folder that this user alone can enter (mode 700)")
    return folder


def _remove_unused(folder: Path) -> None:
    now, tidied = time.time(), folder / "tidied"
    with contextlib.suppress(FileNotFoundError):
        if abs(now - tidied.stat().st_mtime) < _TIDIED_EVERY_S:
            return
    before = now - _UNUSED_S
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in files):
            with contextlib.suppress(FileNotFoundError):  # another process tidies up at the same time
                found = path.lstat()
                if max(found.st_mtime, found.st_atime) < before:
                    path.unlink()
        for path in (Path(parent, name) for name in folders if Path(parent).name == "verified"):
            with contextlib.suppress(OSError):  # one that is not empty is in use
                if path.lstat().st_mtime < before:
                    path.rmdir()
    tidied.touch()


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds a file's lock.

    Raises:
        BlockingIOError: Somebody else holds it, and it is not to be waited for.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough where a variant's code has forked


def _uncompressed(buffer: pa.Buffer) -> pa.Buffer:
    """The same rows as an Arrow file that is read without a copy; the same bytes if they are one already."""
    reader = pa.ipc.open_file(pa.BufferReader(buffer))
    end = buffer.address + buffer.size
    views = (view for column in reader.get_batch(0).columns for view in column.buffers() if view is not None)
    if all(buffer.address <= view.address <= end for view in views if view.size):
        return buffer
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, reader.schema) as writer:
        writer.write_table(reader.read_all())
    return sink.getvalue()
