"""Models from and to other registries: MLflow, the Hugging Face Hub, and packages of bioimage.io.

Order, each importing only from those before it: taken · rest, skops · mlflow, hub, bioimageio · places · pushing.
"""
