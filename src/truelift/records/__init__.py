"""The records: plain files that are the truth about every run and every study.

A run's folder                          a study's folder
    config.toml       what was to run       study.json       the plan: question, variants, runs
    environment.json  where it ran          study.log        what the study printed
    code.patch        code not committed    runs/<variant>/seed-<k>-<fingerprint>/   one folder a run
    inputs.json       images and classes
    metrics.jsonl     appended, flushed     report.html, .md, .csv, .tex, report-runs.csv
    predictions.npz   a row a test image
    features.npz      likewise, where the features are two-dimensional
    checkpoint.pt     the last one
    result.json       written last: done    or failure.json: why not

Everything but `metrics.jsonl` and the log is written whole: to a temporary file in the same folder, flushed to the
disk, then renamed over the old one. So a reader sees the old file or the new one, never a part.

Each record has one reader, which trusts nothing: a folder may come from another machine, and a user's program may leave
files of the same names. What is damaged is an `InputError` that names the file and what is wrong with it.
"""

from truelift.records.aside import clear_way, make_room, set_aside
from truelift.records.config_file import read_config_file
from truelift.records.earlier import earlier_plans, looks_before, shown_looks
from truelift.records.features import Features
from truelift.records.files import (
    begin_folder,
    now,
    read_bytes,
    told_with,
    whole_file,
    write_json,
    write_text,
    write_unless_there,
)
from truelift.records.inputs import Inputs
from truelift.records.json_files import read_environment, read_failure, read_json, read_plan, read_result
from truelift.records.label_sets import LabelSetPredictions
from truelift.records.leases import leased
from truelift.records.locks import appended_file
from truelift.records.log_tail import ANOTHER_TRY, log_tail
from truelift.records.metric_lines import Curve, MetricLines
from truelift.records.predictions import Predictions
from truelift.records.run import Run, Status
from truelift.records.study import Study

__all__ = [
    "ANOTHER_TRY",
    "Curve",
    "Features",
    "Inputs",
    "LabelSetPredictions",
    "MetricLines",
    "Predictions",
    "Run",
    "Status",
    "Study",
    "appended_file",
    "begin_folder",
    "clear_way",
    "earlier_plans",
    "leased",
    "log_tail",
    "looks_before",
    "make_room",
    "now",
    "read_bytes",
    "read_config_file",
    "read_environment",
    "read_failure",
    "read_json",
    "read_plan",
    "read_result",
    "set_aside",
    "shown_looks",
    "told_with",
    "whole_file",
    "write_json",
    "write_text",
    "write_unless_there",
]
