"""ShardCache: the shards on one host, each fetched once, verified once per run and mapped by every process."""

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
from assay.evaluator.data.frozen.protected import protected
from assay.evaluator.data.frozen.shards import Reads, ShardReader
from assay.evaluator.storage import Store
from assay.evaluator.storage.local import LocalStore, mapped
from assay.manifests.dataset import Dataset, Shard

_UNUSED_S = 86_400.0
"""Files that no process used for this long are removed."""
_TIDIED_EVERY_S = 3_600.0
"""How often unused files are searched for: a search takes a second after many runs, and every slot opens the cache."""
_LEFT_FREE_BYTES = 1 << 30
"""Free disk space that is never used: the ledger may be on the same disk."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ShardCache(ShardReader):
    """A reader that shares the bytes of shards with every process of its user on this host.

    An object of a local store is mapped in place; objects from other stores, and compressed ones, are kept in a folder
    as uncompressed Arrow files:

        shards/DIGEST.CONTENT.arrow   the shard's digest, and the file's, which differs if the shard was compressed
        shards/DIGEST.*.tmp           partially written
        locks/DIGEST                  held while a process fetches, verifies or removes the shard; freed if it dies
        verified/RUN/DIGEST.STATE     in this run, the file in this state had the frozen bytes
        places/RUN.*                  the progress of a live process
        tidied                        when unused files were last removed

    A file is trusted only with its marker in `verified`, which becomes invalid if the file changes, in another run, or
    when the machine restarts. Correctness does not depend on the locks: without them a shard might be fetched twice.
    """

    def __init__(
        self, dataset: Dataset, store: Store, *, run_id: str, bound_bytes: int, folder: Path | None = None
    ) -> None:
        """Opens the folder, and removes files unused for a day, unless that was done within the last hour.

        Args:
            dataset: The dataset whose shards are read.
            store: The store of the shards.
            run_id: The run that they are read for.
            bound_bytes: The maximum size of the folder.
            folder: The folder of the host's copies; None: this user's folder for temporary files.
        """
        super().__init__(dataset, store)
        self._index = {_digest(shard): shard.index for shard in dataset.shards}
        self._run_id, self._bound_bytes = run_id, bound_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._place: BinaryIO | None = None
        self._ahead: tuple[Shard, ...] = ()
        self._at: int | None = None
        self.problem = ""
        """Why shards are read directly from the store; empty while the cache works."""
        default = Path(tempfile.gettempdir(), f"assay-{os.getuid()}", "shards")
        self.folder = folder or default
        """The folder of the host's copies."""
        try:
            _private(self.folder if folder else default.parent)
            _private(self.folder)
            for name in ("shards", "locks", "places"):
                (self.folder / name).mkdir(exist_ok=True)
            _remove_unused(self.folder)
            self._place = (self.folder / "places" / f"{run_id}.{secrets.token_hex(8)}").open("xb", buffering=0)
            fcntl.flock(self._place, fcntl.LOCK_EX)  # held while this process lives
            self._move_to(-1)
        except OSError as error:
            self.problem = str(error)

    def rows(self, first_row: int, num_rows: int) -> pa.Table:
        """Some rows in the frozen order; records the progress, from which others know which shards are needed next."""
        self._move_to(self.shards(first_row, num_rows)[-1].index)
        return super().rows(first_row, num_rows)

    def prefetch(self, first_row: int, num_rows: int) -> None:
        """Fetches the shards of some rows to this host in a background thread; its errors reach whoever reads the rows."""
        shards = self.shards(first_row, num_rows)
        for shard in shards:
            if shard not in self._ahead:  # a shard may hold the rows of many calls
                self._thread.submit(self._fetch_ahead, shard)
        self._ahead = shards

    def close(self) -> None:
        """Closes the cache: the progress of this process no longer counts when space is freed."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        place, self._place = self._place, None
        if place is not None:
            with contextlib.suppress(OSError):  # whoever opens the cache next removes it
                Path(place.name).unlink()
            place.close()

    def fetch(self, shard: Shard) -> pa.Buffer:
        """The bytes of a shard, verified, from this host's copy if there is one; in memory that cannot be written to.

        Raises:
            DamageError: The shard is missing from the store, or its bytes are not those that were frozen.
        """
        try:
            if self._place is not None:
                with _locked(self._lock(_digest(shard))):
                    return self._copy(shard) or self._fetched(shard)
        except OSError as error:
            self.problem = str(error)
        return protected(_uncompressed(super().fetch(shard)))

    def _fetch_ahead(self, shard: Shard) -> None:
        if not self.problem:  # without a working cache the shard would be fetched twice
            self.fetch(shard)

    def _copy(self, shard: Shard) -> pa.Buffer | None:
        """The bytes that this host already has, if they are correct."""
        started = time.perf_counter()
        path = self._object(shard)
        if path is not None and self._is_verified(shard, path):
            return mapped(path)
        for path in (self.folder / "shards").glob(f"{_digest(shard)}.*.arrow"):
            buffer = mapped(path)
            if not self._is_verified(shard, path):
                digest = fingerprint.blake3_of_file(path)
                self.count(Reads(fetch_s=time.perf_counter() - started))
                if digest.removeprefix("blake3:") != path.name.split(".")[1]:
                    path.unlink()
                    continue
                self._mark_verified(shard, path)
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
            return buffer
        return None

    def _fetched(self, shard: Shard) -> pa.Buffer:
        """The bytes from the store, kept in the folder if there is space."""
        buffer = super().fetch(shard)
        started = time.perf_counter()
        plain = _uncompressed(buffer)
        try:
            path = self._object(shard)
            if path is None or plain is not buffer:
                content = shard.blake3 if plain is buffer else fingerprint.blake3_digest(plain)
                path = self._keep(shard, plain, content.removeprefix("blake3:"))
            self._mark_verified(shard, path)
            plain = mapped(path)
            self.problem = ""
        except OSError as error:
            self.problem = str(error)
            plain = protected(plain)
        self.count(Reads(fetch_s=time.perf_counter() - started))
        return plain

    def _keep(self, shard: Shard, content: pa.Buffer, name: str) -> Path:
        digest = _digest(shard)
        for left in (self.folder / "shards").glob(f"{digest}.*.tmp"):
            left.unlink()  # left by a process that died: a live one would hold the lock
        aside = self.folder / "shards" / f"{digest}.{secrets.token_hex(8)}.tmp"
        try:
            with _locked(self.folder / "room"):
                self._make_room(content.size)
                with aside.open("xb") as file:
                    file.truncate(content.size)  # reserves the space
            with aside.open("r+b") as file:
                file.write(memoryview(content))
            return aside.rename(aside.with_name(f"{digest}.{name}.arrow"))
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def _make_room(self, size_bytes: int) -> None:
        """Removes the shards that are needed last, until there is enough space: arms read the shards cyclically.

        Raises:
            OSError: There is not enough space.
        """
        places = self._places()
        num_shards = len(self.dataset.shards)

        def next_use(file: os.DirEntry[str]) -> tuple[int, float]:
            index = self._index.get(file.name.partition(".")[0])
            if index is None or file.name.endswith(".tmp"):
                return num_shards, -file.stat().st_atime
            return min((index - place - 1) % num_shards for place in places), 0.0

        files = []
        for file in os.scandir(self.folder / "shards"):
            with contextlib.suppress(FileNotFoundError):  # renamed in the meantime; the stat is cached
                file.stat()
                files.append(file)
        held_bytes = sum(file.stat().st_size for file in files)
        free_bytes = shutil.disk_usage(self.folder).free - _LEFT_FREE_BYTES
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
                f"{self.folder}: not enough space for a shard of {size_bytes:,} bytes: {too_many:,} more bytes are "
                f"needed within resources.shard_cache_bytes ({self._bound_bytes:,}) and the free disk space"
            )

    def _move_to(self, index: int) -> None:
        if self._place is not None and index != self._at:  # most units are in the shard of the unit before
            with contextlib.suppress(OSError):  # a full disk: others then free space in a worse order, nothing more
                os.pwrite(self._place.fileno(), b"%8d" % index, 0)
            self._at = index

    def _places(self) -> list[int]:
        """The progress of each live process of this run; the files of dead processes are removed."""
        places = []
        for path in (self.folder / "places").glob(f"{self._run_id}.*"):
            try:
                with _locked(path, wait=False):
                    path.unlink()
            except BlockingIOError:
                places.append(int(path.read_bytes() or b"-1"))
        return places or [-1]

    def _lock(self, digest: str) -> Path:
        return self.folder / "locks" / digest

    def _object(self, shard: Shard) -> Path | None:
        return self.store.path(shard.key) if isinstance(self.store, LocalStore) else None

    def _marker(self, shard: Shard, path: Path) -> Path:
        stat = path.stat()
        boot = _BOOT_ID.read_text() if _BOOT_ID.exists() else ""  # a crash of the machine may lose written pages
        state = f"{path} {stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {boot}"
        name = fingerprint.blake3_digest(state.encode()).removeprefix("blake3:")[:16]
        return self.folder / "verified" / self._run_id / f"{_digest(shard)}.{name}"

    def _is_verified(self, shard: Shard, path: Path) -> bool:
        return path.exists() and self._marker(shard, path).exists()

    def _mark_verified(self, shard: Shard, path: Path) -> None:
        marker = self._marker(shard, path)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def _digest(shard: Shard) -> str:
    return shard.blake3.removeprefix("blake3:")


def _private(folder: Path) -> Path:
    """The folder, created if needed; it must be private, because other users could replace its files.

    Raises:
        PermissionError: It belongs to another user, or other users can access it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077:  # a symbolic link has mode 777
        raise PermissionError(f"{folder}: not a folder that only this user can access (mode 700)")
    return folder


def _remove_unused(folder: Path) -> None:
    now, tidied = time.time(), folder / "tidied"
    with contextlib.suppress(FileNotFoundError):
        if abs(now - tidied.stat().st_mtime) < _TIDIED_EVERY_S:
            return
    before = now - _UNUSED_S
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in files):
            with contextlib.suppress(FileNotFoundError):  # another process removes files at the same time
                stat = path.lstat()
                if max(stat.st_mtime, stat.st_atime) < before:
                    path.unlink()
        for path in (Path(parent, name) for name in folders if Path(parent).name == "verified"):
            with contextlib.suppress(OSError):  # a folder that is not empty is in use
                if path.lstat().st_mtime < before:
                    path.rmdir()
    tidied.touch()


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds a file's lock.

    Raises:
        BlockingIOError: Another process holds it, and `wait` is False.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough if a variant's code has forked


def _uncompressed(buffer: pa.Buffer) -> pa.Buffer:
    """The same rows as an Arrow file that can be read without a copy; the same bytes if they already are one."""
    reader = pa.ipc.open_file(pa.BufferReader(buffer))
    end = buffer.address + buffer.size
    views = (view for column in reader.get_batch(0).columns for view in column.buffers() if view is not None)
    if all(buffer.address <= view.address <= end for view in views if view.size):
        return buffer
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, reader.schema) as writer:
        writer.write_table(reader.read_all())
    return sink.getvalue()
