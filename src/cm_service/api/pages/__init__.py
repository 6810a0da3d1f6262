"""The page in the chart and the worklist: server-rendered, small, without a framework in the browser."""
