"""RocksDB, as the store uses it: bytes by key in one folder, written all at once or not at all.

It was chosen by measuring (`bench/engines.py`): its files are written one after the other, so
that rows whose keys come in no order cost no page each, and its memory is what it is given.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

_FILTER_BITS = 10  # a row: one look-up of a hundred for a row that is not there reads a block
_WRITE_BUFFER = 16 << 20
_OPEN_FILES = 256
_PAGE = 1000


class Damaged(Exception):
    """The files are not those that were written; the message says what is wrong with them."""


class Unwritable(Exception):
    """Nothing can be written now, such as on a full disk; the message says why."""


class Engine:
    """The files in one folder, which is made if it is not there.

    `memory` is how many bytes it takes for what is cached, and of that up to a half for writes on
    their way. Raises `Damaged` or `Unwritable`.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder, self._options = folder, _options(memory)
        self._opened: Rdict | None = None
        self._open()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key. Raises `Damaged`."""
        db = self._db
        try:
            found: bytes | None = db.get(key)
        except Exception as error:  # noqa: BLE001 - rocksdict raises no other kind
            raise Damaged(str(error)) from None
        return found

    def range(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) whose key begins so, in order, as they are when it comes to them.

        Raises `Damaged`.
        """
        begin = prefix
        # An iterator that stays open keeps what is written meanwhile in memory.
        while page := self._page(begin, _after(prefix)):
            yield from page
            begin = page[-1][0] + b"\0"

    def _page(self, begin: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        reading = ReadOptions()
        reading.set_iterate_upper_bound(end)
        found = self._db.iter(reading)
        page: list[tuple[bytes, bytes]] = []
        try:
            found.seek(begin)
            while found.valid() and len(page) < _PAGE:
                page.append((found.key(), found.value()))
                found.next()
            found.status()
        except Exception as error:  # noqa: BLE001 - rocksdict raises no other kind
            raise Damaged(str(error)) from None
        return page

    def commit(self, changed: Mapping[bytes, bytes | None], dropped: Iterable[bytes] = ()) -> None:
        """Write values, or delete those that are None, and first all keys with a dropped prefix.

        What was committed outlives the process, however it ends; a machine that loses power may
        lose the last commits, never half of one. Raises `Unwritable`.
        """
        batch = WriteBatch(raw_mode=True)
        for prefix in dropped:
            batch.delete_range(prefix, _after(prefix))
        for key, value in changed.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        db = self._db
        try:
            db.write(batch)
        except Exception as error:  # noqa: BLE001 - rocksdict raises no other kind
            # After a failed write it takes no other until it is opened again.
            self.close()
            raise Unwritable(str(error)) from None

    def close(self) -> None:
        if self._opened is not None:
            with suppress(Exception):  # what it could not write it tells at the next opening
                self._opened.close()
            self._opened = None

    @property
    def _db(self) -> Rdict:
        if self._opened is None:
            self._open()
        assert self._opened is not None
        return self._opened

    def _open(self) -> None:
        if self._folder.exists() and not self._folder.is_dir():
            raise Damaged("it is a file, not a folder")
        try:
            # Named, as it would take the options of files that exist from them: without cache and
            # filter, which cannot be written down.
            families = {"default": self._options}
            self._opened = Rdict(str(self._folder), self._options, families)
        except Exception as error:  # noqa: BLE001 - rocksdict raises no other kind
            sentence = str(error)
            if sentence.startswith("IO error") and "No such file" not in sentence:
                raise Unwritable(sentence) from None
            raise Damaged(sentence) from None


def _after(prefix: bytes) -> bytes:
    """The first key past those that begin so; the first byte of any is below 255."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big") if prefix else b"\xff"


def _options(memory: int) -> Options:
    cache = Cache(memory)
    tables = BlockBasedOptions()
    tables.set_block_cache(cache)
    # Filters and indices grow with the rows: they too are kept within the cache.
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
    # In small parts, as a whole one of a file is larger than a shard of the cache: it would be read
    # again, more than a megabyte, for each look-up.
    tables.set_index_type(BlockBasedIndexType.two_level_index_search())
    tables.set_partition_filters(True)
    tables.set_metadata_block_size(4096)
    tables.set_pin_top_level_index_and_filter(True)
    tables.set_bloom_filter(_FILTER_BITS, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(tables)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_write_buffer_manager(
        # Without a stall: memory that only a reader of this very thread could free is waited for
        # without an end.
        WriteBufferManager.new_write_buffer_manager_with_cache(memory // 2, False, cache)
    )
    # Most look-ups are for rows that are not there: no search for those in what was written last.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.01)
    options.set_allow_concurrent_memtable_write(False)  # there is one writer
    options.set_max_open_files(_OPEN_FILES)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_keep_log_file_num(2)
    options.set_stats_dump_period_sec(0)
    return options
