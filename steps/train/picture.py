"""From the bytes of an image file to what the network sees: the same for endpoint and training."""

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

SIDE = 32
FORMATS = ("PNG", "JPEG")
PIXEL_LIMIT = 50_000_000  # a file of some kilobytes can claim to unfold to gigabytes
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # the limit is stricter


def decoded(body: bytes) -> npt.NDArray[np.uint8]:
    """One PNG or JPEG of any size and mode as (32, 32, 3). Raises ValueError with a sentence."""
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError(f"the image has more than {PIXEL_LIMIT:,} pixels")
            image.load()
            small = _rgb(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"the body is not a whole PNG or JPEG image ({error})") from error
    if small.size != (SIDE, SIDE):
        small = small.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(small, np.uint8)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16-bit grey is scaled, what is transparent becomes white."""
    if image.mode.startswith("I"):
        grey = np.asarray(image, np.float64) / 257  # 65,535 becomes 255
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")
