"""From the bytes of one content to its report. Runs where it can be killed: what it reads may be hostile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot._version import __version__
from entrepot.datatypes import (
    annotation,
    arrays,
    binaries,
    delimited,
    documents,
    images,
    peek,
    readers,
    reads,
    sequences,
    tables,
)
from entrepot.datatypes.reading import Check, OutOfTime, Source, Stop
from entrepot.datatypes.registry import Registry
from entrepot.model.data_types import Recognition, Report, Standing

__all__ = ["CHECKS", "examine"]

#: By identifier. A type without one is recognised and not checked.
CHECKS: Final[Mapping[str, Callable[[Check], None]]] = {
    "fastq": reads.fastq,
    "fasta": sequences.fasta,
    "sam": sequences.sam,
    "bam": binaries.bam,
    "cram": binaries.cram,
    "vcf": annotation.vcf,
    "bcf": binaries.bcf,
    "gff": annotation.gff,
    "gtf": annotation.gtf,
    "bed": annotation.bed,
    "bigwig": binaries.bigwig,
    "csv": delimited.csv,
    "tsv": delimited.tsv,
    "ndjson": tables.ndjson,
    "json": tables.json_value,
    "parquet": tables.parquet,
    "arrow": tables.arrow,
    "h5": arrays.hdf5,
    "anndata": arrays.hdf5,
    "zarr": arrays.zarr,
    "netcdf": arrays.netcdf,
    "npy": arrays.npy,
    "mtx": annotation.mtx,
    "tiff": images.tiff,
    "ome-tiff": images.ome_tiff,
    "png": images.png,
    "jpeg": images.jpeg,
    "dicom": images.dicom,
    "nifti": arrays.nifti,
    "pdf": documents.pdf,
    "text": tables.text,
    "zip": documents.zip_archive,
    "tar": documents.tar,
    "gzip": documents.gzip,
}

#: What a file without a byte can be. Everything else has to begin with something.
_MAY_BE_EMPTY: Final = frozenset({"text"})

#: Values of facts, all in all; lists and texts are cut by the checks already.
_MOST_VALUES: Final = 20_000


def examine(
    source: Source,
    data_type: str | None,
    registry: Registry,
    *,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Recognise, check and read out one content.

    Args:
        data_type: What it is to be examined as; None is what its bytes say.
        seconds: After so long the check ends with what was found until then.
    """
    head = source.read_at(0, min(peek.HEAD, source.size)) if source.size else b""
    seen = registry.recognise("", head)
    wanted = data_type or seen.data_type
    run = CHECKS.get(wanted) if wanted is not None else None
    if wanted is None or run is None:
        return _without_check(seen, wanted)
    check = Check(source, until=clock() + seconds, clock=clock)
    check.used.append(f"entrepot {__version__}")
    standing = _carry_out(check, run, may_be_empty=wanted in _MAY_BE_EMPTY)
    if standing is not Standing.UNFINISHED:
        readers.read(wanted, source, check)
        standing = Standing.BAD if check.found else Standing.GOOD
    facts = _bounded(check.facts)
    return Report(
        standing,
        seen.data_type,
        wanted,
        seen.compression,
        check.found,
        tuple(check.findings),
        facts if isinstance(facts, dict) else {},
        tuple(check.used),
    )


def _without_check(seen: Recognition, wanted: str | None) -> Report:
    return Report(Standing.UNCHECKED, seen.data_type, wanted, seen.compression)


def _carry_out(check: Check, run: Callable[[Check], None], *, may_be_empty: bool) -> Standing:
    try:
        if check.size == 0 and not may_be_empty:
            check.wrong("empty", "The file is empty.")
            return Standing.BAD
        run(check)
    except Stop:
        pass
    except OutOfTime:
        reached = f"Only the first {check.reached} of {check.size} bytes were checked: the time for a check was over."
        check.wrong("out_of_time", reached, offset=check.reached)
        return Standing.UNFINISHED
    except MemoryError:
        raise
    except Exception as error:
        # A check that stumbles over bytes nobody thought of says so, instead of saying nothing about the file.
        check.wrong("unreadable", f"The file cannot be read as what it should be: {type(error).__name__}.")
    return Standing.BAD if check.found else Standing.GOOD


def _bounded(value: Any, budget: list[int] | None = None) -> Any:
    """Values of JSON, and not too many of them: numbers that JSON lacks become texts."""
    left = [_MOST_VALUES] if budget is None else budget
    left[0] -= 1
    if left[0] < 0:
        return None
    if isinstance(value, Mapping):
        return {
            _printed(str(key)[:200]): _bounded(inner, left) for key, inner in list(value.items())[:2000] if left[0] > 0
        }
    if isinstance(value, list | tuple):
        return [_bounded(inner, left) for inner in value[:2000] if left[0] > 0]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)[:100]
    if isinstance(value, str):
        return _printed(value[:2000])
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:200]


def _printed(text: str) -> str:
    """What can be shown and stored: names come out of files, and may hold whatever bytes do."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
