import pytest
import torch
import torch.nn.functional as F

from training.losses import classification_loss, gradient_penalty, reconstruction_loss


def test_classification_sums_over_labels_and_averages_over_images():
    logits, label = torch.randn(4, 3), torch.randint(0, 2, (4, 3)).float()
    each = [F.binary_cross_entropy_with_logits(logits[i], label[i], reduction="sum") for i in range(4)]
    torch.testing.assert_close(classification_loss(logits, label), torch.stack(each).mean())


def test_one_of_k_is_cross_entropy():
    logits, label = torch.randn(4, 3), torch.eye(3)[[0, 2, 1, 1]]
    expected = F.cross_entropy(logits, torch.tensor([0, 2, 1, 1]))
    torch.testing.assert_close(classification_loss(logits, label, one_of_k=True), expected)


@pytest.mark.parametrize("one_of_k", [False, True])
def test_a_smoothed_label_wants_no_certainty(one_of_k):
    label = torch.eye(4)
    loss = [
        classification_loss(sure * (2 * label - 1), label, one_of_k, smoothing=0.1).item() for sure in (0.3, 1.5, 9)
    ]
    assert loss[1] < min(loss[0], loss[2])
    plain = [classification_loss(sure * (2 * label - 1), label, one_of_k).item() for sure in (0.3, 1.5, 9)]
    assert plain == sorted(plain, reverse=True)


def test_reconstruction_is_the_mean_absolute_difference():
    assert reconstruction_loss(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)).item() == 0.5


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_gradient_penalty_of_a_linear_discriminator(slope, penalty):
    direction = torch.randn(1, 3, 4, 4)
    direction = slope * direction / direction.norm()
    real, fake = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    found = gradient_penalty(lambda x: direction.expand_as(x), real, fake, torch.rand(2, 1, 1, 1))
    assert found.item() == pytest.approx(penalty, abs=1e-4)
