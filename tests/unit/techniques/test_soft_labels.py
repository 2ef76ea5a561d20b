import torch

from truelift.techniques.soft_labels import mixed_labels, shares_of_classes


def test_class_numbers_become_shares_and_shares_stay() -> None:
    shares = shares_of_classes(torch.tensor([2, 0]), 3)
    assert shares.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert shares_of_classes(shares, 3) is shares


def test_mixed_by_hand() -> None:
    labels, partners = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 2])
    mixed = mixed_labels(labels, partners, 0.75, 3)
    assert mixed.tolist() == [[0.75, 0.25, 0], [0, 0.75, 0.25], [0, 0, 1]]
    again = mixed_labels(mixed, torch.tensor([0, 0, 0]), 0.5, 3)
    assert again[2].tolist() == [0.375, 0.125, 0.5]
