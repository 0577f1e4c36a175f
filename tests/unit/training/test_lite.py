"""The lite generator computes what it says, for every stem and bottleneck."""

import pytest
import torch

from training.architectures import new_generator
from training.lite import LiteGenerator


def inputs(size=32, label_dim=5):
    random = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, size, size, generator=random) * 2 - 1, torch.eye(label_dim)[:2]


def new(**arguments):
    torch.manual_seed(0)
    return LiteGenerator(5, 16, 1, **arguments)


@pytest.mark.parametrize(("stem", "bottleneck"), [(1, 4), (2, 2), (2, 4), (2, 8), (4, 4), (4, 8)])
def test_images_keep_their_size_and_range(stem, bottleneck):
    image, label = inputs()
    out = new(stem=stem, bottleneck=bottleneck)(image, label)
    assert out.shape == image.shape
    assert out.abs().max() <= 1


def test_a_bottleneck_that_the_stem_cannot_reach_is_refused():
    with pytest.raises(ValueError, match="stem 4 and bottleneck 6"):
        new(stem=4, bottleneck=6)


def test_the_pictures_of_training_and_evaluation_are_the_same():
    image, label = inputs()
    generator = new()
    assert torch.allclose(generator.train()(image, label), generator.eval()(image, label), atol=1e-5)


def test_the_label_reaches_every_part_of_the_image():
    """In the paper's generator its effect starts at the border."""
    image, label = inputs()
    generator = new().eval()
    difference = (generator(image, label) - generator(image, label.flip(0))).abs().mean(dim=(0, 1))
    assert difference[12:20, 12:20].mean() > 1e-3


def test_a_mask_of_zero_keeps_the_image():
    image, label = inputs()
    generator = new()
    with torch.no_grad():
        generator.last.weight.zero_()
        generator.last.bias.fill_(-1e3)
    assert torch.equal(generator(image, label), image)


def test_one_image_of_a_batch_does_not_change_another():
    image, label = inputs()
    generator = new().eval()
    assert torch.allclose(generator(image, label)[:1], generator(image[:1], label[:1]), atol=1e-5)


def test_it_has_a_twentieth_of_the_multiplications():
    def multiplications(generator):
        total = 0

        def count(layer, _, out):
            nonlocal total
            total += out[0].numel() * layer.weight[0].numel()

        for layer in generator.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(count)
            elif isinstance(layer, torch.nn.ConvTranspose2d):
                layer.register_forward_hook(lambda layer, image, _: count(layer, image, image[0]))
        image, label = inputs(128)
        with torch.no_grad():
            generator(image[:1], label[:1])
        return total

    paper = multiplications(new_generator({"label_dim": 5, "conv_dim": 64, "blocks": 6}))
    lite = multiplications(new_generator({"arch": "lite", "label_dim": 5, "conv_dim": 32, "blocks": 4}))
    assert 19 < paper / lite < 21
