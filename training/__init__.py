"""Data, architectures, fitting, metrics, and the jobs that train and publish.

Order, each importing only from those before it: spec · weights · builders, unet · architecture ·
architectures, data, scenes · fitting · variants · scoring · jobs.
"""
