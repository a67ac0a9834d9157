"""One module for each product of radar data.

Order, each importing only from those before it: product, hdf5, zr · fmi, knmi_format, odim · knmi, knmi_reflectivity.
"""
