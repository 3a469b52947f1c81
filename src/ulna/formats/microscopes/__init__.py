"""Files of microscopes, through libraries of the extra `microscopes`: CZI, LIF and ND2."""
