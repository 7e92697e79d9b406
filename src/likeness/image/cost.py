"""What decoding a photo costs, from its header and scans, before it is spent.

The model: each block, pixel or byte that a decoder must visit, times what its coder takes for one. The constants are
nanoseconds of processor time, measured by `python benchmarks/decoding.py` on crafted files that cost the most of their
kind; that command also holds the estimates against the measured times of real and hostile files.
"""

from likeness.image.jpeg_header import JpegHeader, UnreasonableJpeg
from likeness.image.png import PngHeader

#: How often a photo is decoded: once to be searched, and once more, finer, where faces are small in it.
DECODINGS = 2

#: JPEG, for each 8x8 block of a colour plane: to transform it and to make pixels of it.
_BLOCK_NS = 50
#: For each pixel more, where the sampling of the colours is one that only the slow decoder knows.
_UNUSUAL_PIXEL_NS = 6
#: For each block that a scan of several visits, bringing coefficients or adding a bit to each that is there.
_FIRST_PASS_NS, _REFINING_PASS_NS = 8, 30
#: The same where coding is arithmetic: its decoder goes on without end when the data has ended.
_ARITHMETIC_PASS_NS = 250
#: For each byte of coded data.
_HUFFMAN_BYTE_NS, _SCANS_BYTE_NS, _ARITHMETIC_BYTE_NS = 12, 25, 120

#: PNG, for each byte after inflation (filter Paeth), and for each pixel to become RGB, plain or over white.
_INFLATED_BYTE_NS, _PLAIN_PIXEL_NS, _TRANSPARENT_PIXEL_NS = 7, 5, 12

#: Files with several scans are held in memory as coefficients of 16 bits. 300 MB are 100 megapixels at 4:2:0.
_MAX_COEFFICIENT_BYTES = 300_000_000


def jpeg_seconds(header: JpegHeader) -> float:
    """Seconds of processor time to decode a JPEG once; reduced or in full makes little difference."""
    data_bytes = header.end - header.data_start
    passes = header.first_passes + header.refining_passes
    if header.arithmetic:
        coding = passes * _ARITHMETIC_PASS_NS + data_bytes * _ARITHMETIC_BYTE_NS
    elif header.several_scans:
        visits = header.first_passes * _FIRST_PASS_NS + header.refining_passes * _REFINING_PASS_NS
        coding = visits + data_bytes * _SCANS_BYTE_NS
    else:
        coding = data_bytes * _HUFFMAN_BYTE_NS
    unusual = 0 if header.usual else header.width * header.height * _UNUSUAL_PIXEL_NS
    return (header.blocks * _BLOCK_NS + unusual + coding) / 1e9


def png_seconds(header: PngHeader) -> float:
    """Seconds of processor time to decode a PNG once; it is inflated in full whatever is made of it."""
    pixel_ns = _TRANSPARENT_PIXEL_NS if header.transparent else _PLAIN_PIXEL_NS
    return (header.raw_bytes * _INFLATED_BYTE_NS + header.width * header.height * pixel_ns) / 1e9


def check_memory(header: JpegHeader) -> None:
    """Raises UnreasonableJpeg for a file in several scans that takes more memory than any photo needs."""
    coefficients = header.blocks * 64 * 2
    if header.several_scans and coefficients > _MAX_COEFFICIENT_BYTES:
        raise UnreasonableJpeg(
            f"it is a progressive JPEG of {header.width} x {header.height} pixels, which takes "
            f"{coefficients // 1_000_000} MB to decode. Save it as baseline JPEG or scale it down"
        )
