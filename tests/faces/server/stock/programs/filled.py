"""What MLflow's pages are shown with: an experiment of runs, charts, artifacts, a model of versions, a trace."""

import matplotlib.pyplot as plt
import mlflow
import numpy as np
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

client = MlflowClient()


def runs_models_and_traces_to_be_shown():
    mlflow.set_experiment("wine tasting")
    for i in range(5):
        with mlflow.start_run(run_name=f"tasting-{i}", tags={"team": "cellar"}) as run:
            mlflow.log_params({"depth": i, "criterion": "gini"})
            for step in range(40):
                mlflow.log_metric("loss", 1.0 / (step + i + 1), step=step)
            mlflow.log_metric("accuracy", 0.9 + i / 100)
            mlflow.log_text("the nose is of cherries", "notes/nose.txt")
            mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="bottles"), context="training")
    with mlflow.start_run(run_id=run.info.run_id):
        figure, axes = plt.subplots()
        axes.plot([3, 1, 2])
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "eval.json")
        model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        mlflow.sklearn.log_model(
            model, name="palate", registered_model_name="sommelier", pip_requirements=["scikit-learn"],
            signature=mlflow.models.infer_signature(np.zeros((1, 1)), np.zeros(1)),
        )  # fmt: skip
    client.set_registered_model_alias("sommelier", "champion", 1)
    client.update_registered_model("sommelier", description="Knows its wines")

    @mlflow.trace
    def ask(question):
        with mlflow.start_span("sniff", span_type="LLM") as span:
            span.set_outputs("cherries")
            span.set_attribute("mlflow.llm.model", "nose-large")
            span.set_attribute("mlflow.llm.provider", "cellar")
            span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 31, "output_tokens": 11, "total_tokens": 42})
            span.set_attribute("mlflow.llm.cost", {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75})
        return question[::-1]

    ask("which year?")
    mlflow.flush_trace_async_logging()
    mlflow.log_feedback(trace_id=mlflow.get_last_active_trace_id(), name="dry", value=True)
    mlflow.genai.register_prompt("pairing", template="What goes with {{dish}}?")
