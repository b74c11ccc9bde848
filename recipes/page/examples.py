"""Example predictions: the picture that a run left, or a sheet of test images with what a released classifier says."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from accelzoo.errors import AccelzooError
from accelzoo.recipes.bank import DataBank
from accelzoo.recipes.folder import RunFolder
from accelzoo.recipes.page.material import Material
from accelzoo.recipes.product.pictures import evenly_spaced
from accelzoo.recipes.schema import load_recipe

if TYPE_CHECKING:
    from PIL.Image import Image

    from accelzoo.release import Release
    from accelzoo.tasks.data import ClassificationData

SHOWN, COLUMNS = 12, 6
SIDE, LINE, GAP = 112, 34, 10  # pixels
QUALITY = 82  # of WebP
RIGHT, WRONG, PAPER = (0, 110, 80), (176, 58, 0), (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A picture for the page.

    Args:
        uri: The picture itself, as a data URI.
        alternative: What is on it, for readers who cannot see it.
        caption: What it shows.
    """

    uri: str
    alternative: str
    caption: str


def example_of(material: Material) -> Example | str:
    """Returns a picture, or why there is none."""
    if material.kind == "search":
        return "A search alone trains no network that could be shown at work."
    if material.kind == "product":
        return _of_product(material)
    return _of_classifier(material)


def _of_product(material: Material) -> Example | str:
    from PIL import Image, UnidentifiedImageError

    path = RunFolder(material.folder).predictions
    if material.digest is not None:
        return "A release holds no pictures: the run that made it keeps them in its folder."
    if not path.is_file():
        return "The run has not drawn its predictions yet."
    try:
        with Image.open(path) as image:
            uri = _uri(image)
    except (OSError, UnidentifiedImageError) as error:
        return f"{path.name} cannot be read: {error}"
    return Example(
        uri=uri,
        alternative="Validation images in rows, one row per network, with what it finds in each",
        caption="Validation images, evenly spaced over the split, with what each network finds.",
    )


def _of_classifier(material: Material) -> Example | str:
    """A sheet of test images, if the recipe's data are here and are those of the lock."""
    from accelzoo.release import read_release

    if material.lock is None:
        return "The run is not finished."
    folder = material.folder if material.digest is not None else RunFolder(material.folder).release
    try:
        release = read_release(folder)
        recipe = load_recipe(folder / "recipe.yaml")
        size = tuple(release.config["accelzoo"]["input_size"])
        data = DataBank(recipe.data, size[0]).at((size[0], size[1], size[2]))
    except AccelzooError as error:
        return f"The data are not here: {error}"
    known = [manifest["splits"]["test"]["digest"] for manifest in material.lock["data"].values()]
    if data.manifest()["splits"]["test"]["digest"] not in known:
        return f"The data of {Path(recipe.data).name} are not those that the lock names."
    return _sheet(release, data)


def _sheet(release: Release, data: ClassificationData) -> Example:
    import torch

    from accelzoo.pretrained import load_release

    model = load_release(release)
    places = np.array(evenly_spaced(len(data.test), SHOWN), dtype=np.int64)
    shown = data.test.take(places)
    facts = release.config["accelzoo"]
    mean, std = (torch.tensor(facts[name]).reshape(1, -1, 1, 1) for name in ("mean", "std"))
    images = torch.from_numpy(np.ascontiguousarray(shown.images)).to(torch.float32) / 255
    with torch.inference_mode():
        found = model((images - mean) / std).argmax(dim=1).tolist()
    labels = [int(label) for label in shown.labels]
    names = data.class_names
    image = _grid(shown.images, [(names[one], names[other]) for one, other in zip(found, labels, strict=True)])
    right = sum(one == other for one, other in zip(found, labels, strict=True))
    return Example(
        uri=_uri(image),
        alternative=f"{len(labels)} test images, of which {right} are named rightly: "
        + ", ".join(f"{names[other]} taken for {names[one]}" for one, other in zip(found, labels, strict=True)),
        caption=f"Test images, evenly spaced over the split: {right} of {len(labels)} are named rightly. Below each "
        "what the network says; where it is wrong, what it is.",
    )


def _grid(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], said: list[tuple[str, str]]) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    rows = -(-len(said) // COLUMNS)
    size = GAP + COLUMNS * (SIDE + GAP), GAP + rows * (SIDE + LINE + GAP)
    sheet, font = Image.new("RGB", size, PAPER), ImageFont.load_default(12)
    pen = ImageDraw.Draw(sheet)
    for place, (pixels, (found, label)) in enumerate(zip(images, said, strict=True)):
        left, top = GAP + place % COLUMNS * (SIDE + GAP), GAP + place // COLUMNS * (SIDE + LINE + GAP)
        one = Image.fromarray(pixels.transpose(1, 2, 0).squeeze())
        sheet.paste(one.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST), (left, top))
        pen.text((left, top + SIDE + 2), found[:17], fill=RIGHT if found == label else WRONG, font=font)
        if found != label:
            pen.text((left, top + SIDE + 17), f"is: {label}"[:17], fill=WRONG, font=font)
    return sheet


def _uri(image: Image) -> str:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
