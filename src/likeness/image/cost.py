"""Estimates the processor time to decode a photo from its header and scans, before decoding.

The model multiplies the blocks, pixels and bytes that the decoder visits by a cost for each. The constants are
nanoseconds of processor time, measured by `python benchmarks/decoding.py` on crafted files that are the most costly of
their kind; that command also compares the estimates with measured times.
"""

from likeness.image.jpeg_header import JpegHeader, UnreasonableJpeg
from likeness.image.png import PngHeader

#: A photo is decoded once for the first search, and at most once more, finer, if it shows small faces.
DECODINGS = 2

#: JPEG, for each 8x8 block of a colour plane: inverse transform and colour conversion.
_BLOCK_NS = 50
#: In addition for each pixel, if only the slow decoder supports the chroma subsampling.
_UNUSUAL_PIXEL_NS = 6
#: In a file with several scans, for each block that a scan visits: first pass and refinement of its coefficients.
_FIRST_PASS_NS, _REFINING_PASS_NS = 8, 30
#: The same with arithmetic coding, whose decoder continues after the end of the data.
_ARITHMETIC_PASS_NS = 250
#: For each byte of entropy-coded data.
_HUFFMAN_BYTE_NS, _SCANS_BYTE_NS, _ARITHMETIC_BYTE_NS = 12, 25, 120

#: PNG, for each byte after inflation (filter Paeth), and for each pixel converted to RGB, opaque or over white.
_INFLATED_BYTE_NS, _PLAIN_PIXEL_NS, _TRANSPARENT_PIXEL_NS = 7, 5, 12

#: Files with several scans are decoded into 16-bit coefficients in memory. 300 MB are 100 megapixels at 4:2:0.
_MAX_COEFFICIENT_BYTES = 300_000_000


def jpeg_seconds(header: JpegHeader) -> float:
    """Seconds of processor time to decode a JPEG once, at any reduction: it makes little difference."""
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
    """Seconds of processor time to decode a PNG once, at any reduction: it is inflated in full."""
    pixel_ns = _TRANSPARENT_PIXEL_NS if header.transparent else _PLAIN_PIXEL_NS
    return (header.raw_bytes * _INFLATED_BYTE_NS + header.width * header.height * pixel_ns) / 1e9


def check_memory(header: JpegHeader) -> None:
    """Raises UnreasonableJpeg if the coefficients of several scans take more memory than any photo needs."""
    coefficients = header.blocks * 64 * 2
    if header.several_scans and coefficients > _MAX_COEFFICIENT_BYTES:
        raise UnreasonableJpeg(
            f"it is a progressive JPEG of {header.width} x {header.height} pixels, which takes "
            f"{coefficients // 1_000_000} MB to decode. Save it as baseline JPEG or scale it down"
        )
