"""Checks that a dataset has the columns, roles and types that an experiment's plan, metrics and arms need."""

from assay.evaluator.errors import DataError, VariantError
from assay.manifests import Arm, Dataset, Experiment, Metric, Plan
from assay.manifests.column import FrozenColumn, Role
from assay.manifests.errors import did_you_mean
from assay.manifests.guardrail import GroupGapGuardrail, SelectionRatioGuardrail


def check_columns(experiment: Experiment, dataset: Dataset) -> None:
    """Checks an experiment against the columns of its dataset.

    Raises:
        DataError: The plan or a metric needs a column, role or type that the dataset does not have.
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
            "row weights are not supported: every estimate counts each row once",
            place=dataset.reference,
            field=name,
            value="role weight",
            remedy="give the column the role info or feature and freeze the rows as a new version, "
            "or freeze a sample drawn in proportion to the weights",
        )


def _check_plan(plan: Plan, dataset: Dataset) -> None:
    """Checks the plan's segment and cluster columns and the columns of its group guardrails."""
    roles: tuple[tuple[Role, str | None], ...] = (("segment", plan.columns.segment), ("cluster", plan.columns.cluster))
    for role, name in roles:
        if name is not None and name not in dataset.names(role):
            raise DataError(
                f"the dataset has no {role} column of that name",
                place=dataset.reference,
                field=f"suite.plan.columns.{role}",
                value=name,
                remedy=_other_column(name, role, dataset),
            )
    for rule in plan.guardrails:
        if isinstance(rule, GroupGapGuardrail | SelectionRatioGuardrail):
            _check_groups(rule, dataset)


def _check_label(metric: Metric, dataset: Dataset) -> None:
    """Checks that a metric for two classes has a label with two classes, if the label's classes are known."""
    classes = dataset.label.classes
    if metric.of_two_classes and len(classes) not in (0, 2):
        raise DataError(
            f"metric '{metric.name}' needs a label with two classes",
            place=dataset.reference,
            field="suite.metrics",
            value=f"{metric.measure} of a label with {len(classes)} classes",
            bound="2 classes",
            remedy="use balanced_accuracy or macro_f1" if not metric.has_threshold else "remove its threshold",
        )


def _check_queries(metric: Metric, dataset: Dataset) -> None:
    """Checks that a ranking metric has a column that names the queries, and a numeric label."""
    if metric.of_queries and not dataset.names("cluster"):
        raise DataError(
            f"metric '{metric.name}' ranks the rows of each query, and the dataset has no cluster column that names "
            "the queries",
            place=dataset.reference,
            field="suite.metrics",
            value=metric.measure,
            remedy="give the column that names the query the role cluster and freeze the rows as a new version",
        )
    if metric.of_queries and dataset.label.type == "string":
        raise DataError(
            f"metric '{metric.name}' uses the label as relevance, so it must be a number",
            place=dataset.reference,
            field="suite.metrics",
            value=f"a label of type {dataset.label.type}",
            bound="a number, 0 or above",
        )


def _check_values(metric: Metric, dataset: Dataset) -> None:
    """Checks that a metric with `values` has a value for exactly the label's classes."""
    if metric.values is None:
        return
    classes = dataset.label.classes or tuple(str(index) for index in range(len(metric.values)))
    if set(classes) != set(metric.values):
        raise DataError(
            f"metric '{metric.name}' must give values for exactly the classes of the label '{dataset.label.name}'",
            place=dataset.reference,
            field="suite.metrics",
            value=", ".join(metric.values),
            bound=", ".join(classes),
        )


def _check_output(arm: Arm, label: FrozenColumn) -> None:
    output, is_regression = arm.variant.output, label.type in ("float32", "float64")
    if is_regression != (output == "values") and not (output == "values" and label.type != "string"):
        raise VariantError(
            f"the output does not fit the label '{label.name}' of type {label.type}",
            place=f"arm '{arm.name}'",
            field="output",
            value=output,
            bound="values" if is_regression else "logits, probabilities, labels",
        )


def _check_groups(rule: GroupGapGuardrail | SelectionRatioGuardrail, dataset: Dataset) -> None:
    """Checks that a guardrail's group column exists and that its `positive` is a class of the label."""
    label, columns = dataset.label, list(dataset.names("segment"))
    problem, value, remedy = "", rule.column, ""
    if rule.column not in columns:
        problem = "the dataset has no segment column of that name, and groups are defined by a segment column"
        remedy = _other_column(rule.column, "segment", dataset)
    elif isinstance(rule, SelectionRatioGuardrail) and not _is_class(rule.positive, label):
        problem, value = f"the label '{label.name}' has no such class", repr(rule.positive)
        remedy = did_you_mean(str(rule.positive), list(label.classes)) or f"the label is {label.type}"
    if problem:
        raise DataError(
            problem, place=dataset.reference, field=f"suite.plan.guardrails: {rule.name}", value=value, remedy=remedy
        )


def _other_column(name: str, role: Role, dataset: Dataset) -> str:
    """What to do where no column of this name has the role."""
    for column in dataset.columns:
        if column.name == name:
            return f"the column has the role {column.role}; give it the role {role} in the contract and freeze a new version"
    return did_you_mean(name, list(dataset.names(role))) or f"no column has the role {role}"


def _is_class(positive: str | int, label: FrozenColumn) -> bool:
    if label.classes:
        return positive in label.classes
    return isinstance(positive, int) and label.type not in ("string", "float32", "float64")
