"""The pixels of DICOM slices, decoded and scaled as their headers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ulna.errors import ReadError
from ulna.formats.base import GRAY, RGB
from ulna.image import Array, Channel, Source

Scale = tuple[float, float]

LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")


def channels_of(data: Any) -> tuple[Channel, ...]:
    """The channels of a file by its header: colors, or gray values, which are called as the modality: "MR", "CT"."""
    colored = int(data.get("SamplesPerPixel") or 1) == 3 or data.get("PhotometricInterpretation") == "PALETTE COLOR"
    return RGB if colored else (Channel(str(data.get("Modality") or GRAY[0].name)),)


def stored_type(data: Any, source: Source) -> np.dtype:
    """The type of the values as they are stored. Raises ReadError for one that is not known."""
    bits = int(data.get("BitsAllocated") or 0)
    if data.get("PhotometricInterpretation") == "PALETTE COLOR":
        return np.dtype(np.uint8 if bits == 8 else np.uint16)
    if bits not in (1, 8, 16, 32, 64):
        raise ReadError(f"holds values of {bits} bits, which are not known", where=source)
    if bits == 64 or (bits == 32 and "BitsStored" not in data):
        return np.dtype(f"f{bits // 8}")
    return np.dtype(f"{'i' if int(data.get('PixelRepresentation') or 0) else 'u'}{max(1, bits // 8)}")


def scaled_type(dtype: np.dtype, scales: set[Scale]) -> np.dtype:
    """The type of scaled values: whole numbers where they stay whole and 32 bits hold them.

    Parameters
    ----------
    dtype
        Of the values as they are stored.
    scales
        Slope and intercept of each part of the image.

    Returns
    -------
    dtype
        The same where nothing is scaled.

    Examples
    --------
    >>> scaled_type(np.dtype(np.uint16), {(1.0, -1024.0)}), scaled_type(np.dtype(np.uint16), {(0.5, 0.0)})
    (dtype('int32'), dtype('float32'))
    """
    if scales == {(1.0, 0.0)}:
        return dtype.newbyteorder("=")
    if dtype.kind in "iu" and dtype.itemsize <= 2 and all(value.is_integer() for scale in scales for value in scale):
        info = np.iinfo(dtype)
        ends = [abs(end * slope + intercept) for slope, intercept in scales for end in (info.min, info.max)]
        if max(ends) < 2**31:
            return np.dtype(np.int32)
    return np.dtype(np.float32)


def decoded(data: Any, frame: int, source: Source) -> Array:
    """One frame of a file, as it is stored: (C, Y, X), black where it is 0.

    Parameters
    ----------
    data
        A pydicom Dataset with its pixels.
    frame
        Which one.
    source
        What the error names.

    Returns
    -------
    Array
        Palettes and YBR as red, green and blue.

    Raises
    ------
    ReadError
        For an encoding that nothing here decodes, and for pixels that are cut off.
    """
    array = stored(data, frame, source)
    kind = str(data.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        array = apply_color_lut(array, data)
    if kind == "MONOCHROME1":  # white is 0: the lowest of the stored values becomes the highest
        bits = int(data.BitsStored)
        array = (-1 - array if int(data.PixelRepresentation) else (1 << bits) - 1 - array).astype(array.dtype)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def stored(data: Any, frame: int, source: Source) -> Array:
    """The numbers of one frame of a file as they are stored, (Y, X) or (Y, X, C); see `decoded`."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if syntax is None:
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

        implicit = data.original_encoding[0]
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or get_decoder(syntax).is_available:
        return np.asarray(pixel_array(data, index=frame))
    decode = _codecs().get(str(syntax))
    if decode is None:
        raise ReadError(
            f"is encoded as {syntax.name}, which nothing that is installed decodes",
            where=source,
            hint="pip install pylibjpeg pylibjpeg-openjpeg, or save it without compression.",
        )
    from pydicom.encaps import get_frame

    count = int(data.get("NumberOfFrames") or 1)
    array = np.asarray(decode(get_frame(data.PixelData, frame, number_of_frames=count)))
    return _signed(array, int(data.BitsStored)) if int(data.PixelRepresentation) and array.dtype.kind == "u" else array


def _codecs() -> dict[str, Callable[[bytes], Array]]:
    """What decodes where pydicom has nothing installed."""
    import imagecodecs

    return {
        **dict.fromkeys(JPEG, imagecodecs.jpeg_decode),
        **dict.fromkeys(LOSSLESS_JPEG, imagecodecs.ljpeg_decode),
        **dict.fromkeys(JPEG_LS, imagecodecs.jpegls_decode),
        **dict.fromkeys(JPEG_2000, imagecodecs.jpeg2k_decode),
    }


def _signed(array: Array, bits: int) -> Array:
    """Numbers of so many bits, whose highest is the sign."""
    half = 1 << (bits - 1)
    return ((array.astype(np.int32) ^ half) - half).astype(f"i{array.dtype.itemsize}")
