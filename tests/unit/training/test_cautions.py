import pytest

from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.cautions import cautions
from truelift.training.settings import parse_experiment


@pytest.mark.parametrize(("batch", "told"), [(40, []), (41, ["batch_size 41 is more than the 40 training images"])])
def test_a_batch_of_more_than_there_is_is_told(batch: int, told: list[str]) -> None:
    settings = {
        "data.train_images": 40,
        "data.validation_fraction": 0,
        "model.name": "resnet8",
        "model.width": 4,
        "precision": "fp32",
        "batch_size": batch,
    }
    experiment = resolve(parse_experiment(settings, "test"))
    splits = load_data(experiment)
    found = list(cautions(assemble(experiment, splits), splits))
    assert [line.partition(":")[0] for line in found] == told
