"""What libraries read out of files, where they are installed (`pip install entrepot[bio]`).

Each is imported when a file needs it, in the process that examines it; without it the file keeps what our own check
found. A library that fails on a file says so as a finding only where its word counts: where it decodes what our check
only walks along.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from entrepot.datatypes.reading import Check, OutOfTime, Source
from entrepot.datatypes.sequences import read_sam_header

__all__ = ["LIBRARIES", "SourceFile", "read"]

#: The libraries that are asked, by the names under which they are imported.
LIBRARIES: Final = ("h5py", "nibabel", "PIL", "pydicom", "pysam", "tifffile")

_NAMES: Final = 200
_ITEMS: Final = 500


class SourceFile(io.RawIOBase):
    """A content as a file that can only be read."""

    #: Libraries repeat it in what they say.
    name = "content"

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._at >= self._source.size:
            return 0
        block = self._source.read_at(self._at, min(len(view), self._source.size - self._at, 1 << 20))
        view[: len(block)] = block
        self._at += len(block)
        return len(block)


def read(data_type: str, source: Source, check: Check) -> None:
    """Add what a library reads to the facts of a check, if there is one for this type and it is installed."""
    reader = _READERS.get(data_type)
    if reader is None or check.compression is not None or check.found:
        return
    try:
        reader(source, check)
    except (MemoryError, OutOfTime):
        raise
    except ImportError:
        # Not installed here: the file keeps what our own check found.
        return
    except Exception as error:
        told = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        check.wrong("unreadable", f"The file cannot be read by {check.used[-1]}: {told}")


def _with(check: Check, library: Any) -> None:
    check.used.append(f"{library.__name__.lower()} {getattr(library, '__version__', '')}".strip())


def _file(source: Source) -> io.BufferedReader:
    return io.BufferedReader(SourceFile(source), 1 << 16)


def _hdf5(source: Source, check: Check) -> None:
    import h5py

    _with(check, h5py)
    with h5py.File(_file(source), "r") as file:
        listed: list[dict[str, Any]] = []
        groups = 0

        def note(name: str, node: Any) -> bool | None:
            nonlocal groups
            if isinstance(node, h5py.Dataset):
                listed.append({"path": name[:500], "shape": list(node.shape or ()), "dtype": str(node.dtype)[:100]})
            else:
                groups += 1
            return True if len(listed) >= _ITEMS else None

        file.visititems(note)
        check.facts |= {"arrays": listed, "groups": groups}
        if _words(file.attrs.get("encoding-type")) == "anndata" or ("obs" in file and "var" in file and "X" in file):
            _anndata(file, check)
        if "_NCProperties" in file.attrs:
            check.facts["dimensions"] = {
                name: int(node.shape[0])
                for name, node in list(file.items())[:_ITEMS]
                if isinstance(node, h5py.Dataset)
                and _words(node.attrs.get("CLASS")) == "DIMENSION_SCALE"
                and node.shape
            }


def _anndata(file: Any, check: Check) -> None:
    import h5py

    facts: dict[str, Any] = {}
    for axis, called in (("obs", "observations"), ("var", "variables")):
        table = file.get(axis)
        if not isinstance(table, h5py.Group):
            check.wrong("no_table", f"There is no group {axis!r}, which an AnnData has.")
            continue
        index = table.get(_words(table.attrs.get("_index")) or "_index")
        if isinstance(index, h5py.Dataset) and index.shape:
            facts[called] = int(index.shape[0])
        facts[f"{axis}_columns"] = [str(name)[:200] for name in table if name != "_index"][:_NAMES]
    values = file.get("X")
    shape = values.attrs.get("shape") if isinstance(values, h5py.Group) else getattr(values, "shape", None)
    if shape is not None:
        facts["shape"] = [int(one) for one in shape]
        if facts.get("observations", facts["shape"][0]) != facts["shape"][0]:
            check.wrong("count", f"X has {facts['shape'][0]} rows; obs names {facts['observations']}.")
        if len(facts["shape"]) > 1 and facts.get("variables", facts["shape"][1]) != facts["shape"][1]:
            check.wrong("count", f"X has {facts['shape'][1]} columns; var names {facts['variables']}.")
    facts["layers"] = [str(name)[:200] for name in file.get("layers", {})][:_NAMES]
    check.facts |= facts


def _words(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _image(source: Source, check: Check) -> None:
    import PIL
    from PIL import Image

    _with(check, PIL)
    picture: Any = Image.open(_file(source))
    with picture as image:
        check.facts["mode"] = str(image.mode)
        if getattr(image, "n_frames", 1) > 1:
            check.facts["frames"] = int(image.n_frames)
        density = image.info.get("dpi")
        if density:
            check.facts["dpi"] = [round(float(one), 2) for one in density[:2]]
        image.draft(image.mode, (256, 256))
        # Decoding is what finds damage in the pixels.
        image.load()


def _tiff(source: Source, check: Check) -> None:
    import tifffile

    _with(check, tifffile)
    with tifffile.TiffFile(_file(source)) as file:
        check.facts["series"] = [
            {"axes": str(one.axes), "shape": [int(size) for size in one.shape], "dtype": str(one.dtype)}
            for one in file.series[:_NAMES]
        ]


def _dicom(source: Source, check: Check) -> None:
    import pydicom

    _with(check, pydicom)
    found = pydicom.dcmread(_file(source), stop_before_pixels=True, force=False)
    for keyword, name in (
        ("Modality", "modality"),
        ("Rows", "rows"),
        ("Columns", "columns"),
        ("NumberOfFrames", "frames"),
    ):
        if keyword in found and found.get(keyword) is not None:
            value = found.get(keyword)
            check.facts[name] = value if isinstance(value, str) else int(value)
    if "SOPClassUID" in found:
        check.facts["kind"] = str(found.SOPClassUID.name)[:200]


def _nifti(source: Source, check: Check) -> None:
    import nibabel

    _with(check, nibabel)
    library: Any = nibabel
    size = int.from_bytes(source.read_at(0, 4), "little")
    kind = (
        nibabel.Nifti2Header
        if size == 540 or size.to_bytes(4, "little") == b"\x00\x00\x02\x1c"
        else library.Nifti1Header
    )
    header = kind.from_fileobj(_file(source), check=False)
    check.facts["orientation"] = "".join(str(one) for one in library.aff2axcodes(header.get_best_affine()))


def _cram(source: Source, check: Check) -> None:
    """The header, where it is packed in a way that our own reader does not know."""
    if "contigs" in check.facts or not hasattr(os, "memfd_create"):
        return
    import pysam

    _with(check, pysam)
    place = os.memfd_create("cram")
    try:
        os.write(place, source.read_at(0, min(source.size, 64 << 20)))
        with pysam.AlignmentFile(f"/proc/self/fd/{place}", "rc", check_sq=False) as file:
            read_sam_header(str(file.header).splitlines(), check)
    finally:
        os.close(place)


def _netcdf(source: Source, check: Check) -> None:
    # Classic files are read whole by our own check.
    if "superblock" in check.facts:
        _hdf5(source, check)


_READERS: Final[Mapping[str, Callable[[Source, Check], None]]] = {
    "h5": _hdf5,
    "anndata": _hdf5,
    "netcdf": _netcdf,
    "png": _image,
    "jpeg": _image,
    "tiff": _tiff,
    "ome-tiff": _tiff,
    "dicom": _dicom,
    "nifti": _nifti,
    "cram": _cram,
}
