"""The only place that knows both Streamlit and interpret."""
