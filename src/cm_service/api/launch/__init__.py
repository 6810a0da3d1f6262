"""SMART EHR launch (2.2; 1.0 and 2.0 servers in the field): from the chart to a page bound to it."""
