"""Networks on ONNX Runtime: sessions, devices, batches."""
