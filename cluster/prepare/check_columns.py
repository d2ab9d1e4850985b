"""Whether a dataset has the columns, of the roles and types, that an experiment's plan, metrics and arms need."""

from assay.evaluator.errors import DataError, VariantError
from assay.manifests import Arm, Dataset, Experiment, Metric, Plan
from assay.manifests.column import FrozenColumn
from assay.manifests.errors import did_you_mean
from assay.manifests.guardrail import GroupGapGuardrail, SelectionRatioGuardrail


def check_columns(experiment: Experiment, dataset: Dataset) -> None:
    """Holds an experiment against its dataset.

    Raises:
        DataError: The plan or a metric needs what the dataset has not.
        VariantError: An arm's output does not fit the label.
    """
    _check_no_weights(dataset)
    _check_plan(experiment.suite.plan, dataset)
    for metric in experiment.suite.metrics:
        _check_label(metric, dataset)
        _check_queries(metric, dataset)
        _check_values(metric, dataset)
    for arm in experiment.arms:
        _check_output(arm, dataset.label)


def _check_no_weights(dataset: Dataset) -> None:
    for name in dataset.names("weight"):
        raise DataError(
            "the rows have weights, and every estimate counts each row once",
            place=dataset.reference,
            field=name,
            value="role weight",
            remedy="give the column the role info or feature, and freeze the rows under a new version; "
            "or freeze a sample in which rows are as frequent as they should count",
        )


def _check_plan(plan: Plan, dataset: Dataset) -> None:
    """The columns of segments and clusters, and those of guardrails on groups, are there."""
    for role, name in (("segment", plan.columns.segment), ("cluster", plan.columns.cluster)):
        if name is not None and name not in dataset.names(role):
            raise DataError(
                f"the dataset has no {role} column of that name",
                place=dataset.reference,
                field=f"suite.plan.columns.{role}",
                value=name,
                remedy=did_you_mean(name, list(dataset.names(role))) or f"no column has the role {role}",
            )
    for rule in plan.guardrails:
        if isinstance(rule, GroupGapGuardrail | SelectionRatioGuardrail):
            _check_groups(rule, dataset)


def _check_label(metric: Metric, dataset: Dataset) -> None:
    """A metric of two classes has a label of two classes, as far as its classes are known."""
    classes = dataset.label.classes
    if metric.of_two_classes and len(classes) not in (0, 2):
        raise DataError(
            f"metric '{metric.name}' tells one class from one other",
            place=dataset.reference,
            field="suite.metrics",
            value=f"{metric.measure} of a label with {len(classes)} classes",
            bound="a label with 2 classes",
            remedy="measure balanced_accuracy or macro_f1" if not metric.has_threshold else "leave its threshold out",
        )


def _check_queries(metric: Metric, dataset: Dataset) -> None:
    """A metric of queries has a column that names them, and a label that is a number."""
    if metric.of_queries and not dataset.names("cluster"):
        raise DataError(
            f"metric '{metric.name}' ranks the rows of a query, which are those of one cluster",
            place=dataset.reference,
            field="suite.metrics",
            value=metric.measure,
            remedy="give the column that names the query the role cluster, and freeze the rows anew",
        )
    if metric.of_queries and dataset.label.type == "string":
        raise DataError(
            f"metric '{metric.name}' takes the label as relevance",
            place=dataset.reference,
            field="suite.metrics",
            value=f"a label of type {dataset.label.type}",
            bound="a number, 0 or above",
        )


def _check_values(metric: Metric, dataset: Dataset) -> None:
    """A metric that values classes values all of the label's, and no other."""
    if metric.values is None:
        return
    classes = dataset.label.classes or tuple(str(index) for index in range(len(metric.values)))
    if set(classes) != set(metric.values):
        raise DataError(
            f"metric '{metric.name}' must value every class of the label '{dataset.label.name}', and nothing else",
            place=dataset.reference,
            field="suite.metrics",
            value=", ".join(metric.values),
            bound=", ".join(classes),
        )


def _check_output(arm: Arm, label: FrozenColumn) -> None:
    output, is_regression = arm.variant.output, label.type in ("float32", "float64")
    if is_regression != (output == "values") and not (output == "values" and label.type != "string"):
        raise VariantError(
            f"the label '{label.name}' is {label.type}",
            place=f"arm '{arm.name}'",
            field="output",
            value=output,
            bound="values" if is_regression else "logits, probabilities, labels",
        )


def _check_groups(rule: GroupGapGuardrail | SelectionRatioGuardrail, dataset: Dataset) -> None:
    """The column of the groups is there, and the class that is a selection is one of the label's."""
    label, columns = dataset.label, list(dataset.names("segment"))
    problem, value, remedy = "", rule.column, ""
    if rule.column not in columns:
        problem = "the dataset has no segment column of that name: groups of rows are named by one"
        remedy = did_you_mean(rule.column, columns) or "no column has the role segment"
    elif isinstance(rule, SelectionRatioGuardrail) and not _is_class(rule.positive, label):
        problem, value = f"the label '{label.name}' has no such class to be selected", repr(rule.positive)
        remedy = did_you_mean(str(rule.positive), list(label.classes)) or f"the label is {label.type}"
    if problem:
        raise DataError(
            problem, place=dataset.reference, field=f"suite.plan.guardrails: {rule.name}", value=value, remedy=remedy
        )


def _is_class(positive: str | int, label: FrozenColumn) -> bool:
    if label.classes:
        return positive in label.classes
    return isinstance(positive, int) and label.type not in ("string", "float32", "float64")
