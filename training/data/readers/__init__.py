"""One module for each product of radar data.

Order, each importing only from those before it: product, hdf5, zr · cf_netcdf, fmi, grib, knmi_format,
meteoswiss, odim, radolan · knmi, knmi_reflectivity.
"""
