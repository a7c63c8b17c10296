"""The model server: one model archive behind `/ping` and `/invocations`.

    python -m model_server --bind /path/to/socket --model-dir /opt/ml/model

`handlers` loads the archive's `code/inference.py` and fills in what it leaves out, as the SageMaker
PyTorch inference image does; `http` is the server around it. The package is copied into each
instance's Python environment and runs there, so it imports nothing but the standard library, and
torch and numpy where a model needs them.
"""
