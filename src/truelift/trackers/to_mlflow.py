"""MLflow: an experiment a study, at MLFLOW_TRACKING_URI or where MLflow keeps it by default."""

import os
import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from truelift.trackers.base import Outcome, Tracked

_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_ID = "mlflow-run.txt"
_MOST_PARAMS = 100
"""Of a batch: more are refused."""
# A server that does not answer is given up after seconds, not minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflow:
    """A run that goes on under the id in the run's folder."""

    def __init__(self, tracked: Tracked) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self.client = MlflowClient()
        path = tracked.folder / _ID
        self.run_id = path.read_text().strip() if path.exists() else ""
        if self.run_id:
            self.client.update_run(self.run_id, status="RUNNING")
        else:
            self.run_id = self._begun(tracked)
            path.write_text(self.run_id)
        # What is not there yet: a process that was killed may have logged a part.
        there = self.client.get_run(self.run_id).data.params
        params = [Param(name, str(value)) for name, value in tracked.config.items() if name not in there]
        for start in range(0, len(params), _MOST_PARAMS):
            batch = params[start : start + _MOST_PARAMS]
            self.client.log_batch(self.run_id, params=batch, tags=[RunTag("group", tracked.variant)])

    def _begun(self, tracked: Tracked) -> str:
        experiment = self.client.get_experiment_by_name(tracked.study)
        experiment_id = self.client.create_experiment(tracked.study) if experiment is None else experiment.experiment_id
        run_id: str = self.client.create_run(experiment_id, run_name=tracked.name).info.run_id
        return run_id

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Log under the step of the training."""
        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, [Metric(name, value, now, step) for name, value in numbers.items()])

    def end(self, outcome: Outcome) -> None:
        """Set the status that stands for the outcome."""
        self.client.set_terminated(self.run_id, _STATUS[outcome])


start = MLflow
