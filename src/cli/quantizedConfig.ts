// What a quantised folder's config.json says beside what the model's own said, in the words of
// AutoAWQ and of compressed-tensors, so that other engines read it too.

export type QuantizeMethod = "awq" | "round" | "int8"

const awq = (group: number) => ({
  quant_method: "awq",
  bits: 4,
  group_size: group,
  zero_point: true,
  version: "gemm",
  modules_to_not_convert: null,
})

const int8 = {
  quant_method: "compressed-tensors",
  format: "int-quantized",
  quantization_status: "compressed",
  config_groups: {
    group_0: {
      targets: ["Linear"],
      input_activations: null,
      output_activations: null,
      weights: { num_bits: 8, type: "int", symmetric: true, strategy: "channel", dynamic: false },
    },
  },
  ignore: ["lm_head"],
}

export const quantizedConfig = (
  config: Readonly<Record<string, unknown>>,
  method: QuantizeMethod,
  group: number,
): Readonly<Record<string, unknown>> => ({
  ...config,
  ...("dtype" in config ? { dtype: "float16" } : { torch_dtype: "float16" }),
  quantization_config: method === "int8" ? int8 : awq(group),
})
