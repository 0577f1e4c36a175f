import pytest
import torch
from torch import nn

from training.model import Discriminator, Generator, InstanceNorm


def test_the_paper_s_sizes():
    # 53.2 million parameters (paper, table 1, for the 8 RaFD and 5 CelebA labels at 128x128).
    count = lambda network: sum(p.numel() for p in network.parameters())  # noqa: E731
    assert count(Generator(5)) == 8_430_528
    assert 44_000_000 < count(Discriminator(128, 5)) < 46_000_000


@pytest.mark.parametrize(("size", "conv_dim", "blocks"), [(32, 8, 1), (64, 4, 3), (24, 8, 2)])
def test_generator_keeps_the_size_and_the_range(size, conv_dim, blocks):
    out = Generator(3, conv_dim, blocks)(torch.rand(2, 3, size, 2 * size) * 2 - 1, torch.rand(2, 3))
    assert out.shape == (2, 3, size, 2 * size)
    assert out.abs().max() <= 1


@pytest.mark.parametrize(("size", "layers"), [(32, 3), (64, 5), (128, 6)])
def test_discriminator_shapes(size, layers):
    score, logits = Discriminator(size, 4, 4, layers)(torch.rand(2, 3, size, size))
    assert score.shape == (2, 1, size // 2**layers, size // 2**layers)
    assert logits.shape == (2, 4)


def test_an_image_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        Discriminator(100, 4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_training_output_equals_evaluation_output(memory_format):
    torch.manual_seed(0)
    generator = Generator(3, 8, 2).to(memory_format=memory_format)
    image, label = (torch.rand(2, 3, 32, 32) * 2 - 1).to(memory_format=memory_format), torch.rand(2, 3)
    with torch.no_grad():
        difference = (generator.train()(image, label) - generator.eval()(image, label)).abs().max()
    assert difference < 1e-5


def test_norms_equal_pytorch_s_instance_norm():
    torch.manual_seed(0)
    ours, reference = InstanceNorm(4), nn.InstanceNorm2d(4, affine=True)
    with torch.no_grad():
        ours.weight.copy_(torch.randn(4))
        ours.bias.copy_(torch.randn(4))
        reference.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 6, 5) * 3 + 1
    torch.testing.assert_close(ours.train()(x), reference(x))
    torch.testing.assert_close(ours.eval()(x), reference(x))


def test_one_image_does_not_change_another():
    torch.manual_seed(0)
    generator = Generator(3, 8, 1).train()
    image, label = torch.rand(2, 3, 16, 16), torch.rand(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(generator(image, label)[:1], generator(image[:1], label[:1]))


def test_state_dict_keys_are_the_authors():
    keys = set(Generator(5, 8, 2).state_dict())
    assert {"main.0.weight", "main.1.weight", "main.1.bias", "main.3.weight", "main.9.main.0.weight"} <= keys
    assert {"main.10.main.4.bias", "main.11.weight", "main.14.weight", "main.17.weight"} <= keys
    assert not any("running" in key for key in keys)
    assert {"main.0.weight", "main.0.bias", "main.4.bias", "conv1.weight", "conv2.weight"} <= set(
        Discriminator(32, 5, 8, 3).state_dict()
    )


def test_the_score_gradient_equals_autograd_to_the_second_order():
    discriminator = Discriminator(32, 3, conv_dim=4, layers=3).double()
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(discriminator(image)[0].sum(), image, create_graph=True)
    found = discriminator.score_gradient(image)
    torch.testing.assert_close(found, expected)
    weights = [
        p for name, p in discriminator.named_parameters() if name.endswith("weight") and not name.startswith("conv2")
    ]
    by_hand = torch.autograd.grad((found.norm() - 1) ** 2, weights)
    by_autograd = torch.autograd.grad((expected.norm() - 1) ** 2, weights)
    assert all(gradient.abs().sum() > 0 for gradient in by_hand)
    torch.testing.assert_close(by_hand, by_autograd)
