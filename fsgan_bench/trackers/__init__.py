"""Dashboards that people have open: TensorBoard, W&B, MLflow, and those of other packages."""
