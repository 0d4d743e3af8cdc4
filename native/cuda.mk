# Builds engine_cuda.so, the device's backend: everything below a folder named cuda by nvcc or g++,
# and the parts of the engine that need no device.
#   make -f cuda.mk CUDA_HOME=... [ARCHS=dev|all] [BUILD=build/cuda-dev] [all|check|objects]
# ARCHS=dev is sm_90a alone; `all` is every chip that is supported, and PTX for later ones.
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(shell command -v nvcc))
NVCC ?= $(CUDA_HOME)/bin/nvcc
CXX ?= g++
ARCHS ?= dev
BUILD ?= build/cuda-$(ARCHS)

GENCODE_dev := -gencode arch=compute_90a,code=sm_90a
GENCODE_all := $(foreach a,80 89 90a 100 120,-gencode arch=compute_$a,code=sm_$a) \
  -gencode arch=compute_80,code=compute_80
GENCODE := $(GENCODE_$(ARCHS))

INCLUDES := -I. -isystem $(CUDA_HOME)/include
FLAGS := -std=c++20 -O2 -Wall -Wextra -Wconversion -Werror -ffp-contract=off -fPIC -pthread \
  -fvisibility=hidden -g0 -MMD -MP $(INCLUDES)
NVCC_FLAGS := -std=c++20 -O3 $(GENCODE) -Xptxas -v --Werror all-warnings \
  -Xcompiler -Wall,-Wextra,-fPIC,-fvisibility=hidden -I. -MMD -MP

# What both backends compile: files, the config, the checks of a checkpoint.
SHARED := $(addprefix model/,checkpoint.cc config.cc families.cc json.cc rotary.cc safetensors.cc \
  utf8.cc weight_plan.cc weights.cc) kernels/pack.cc \
  $(addprefix runtime/,cpu_count.cc input_file.cc large_buffer.cc thread_pool.cc)
HOST := $(SHARED) $(wildcard runtime/cuda/*.cc) \
  $(wildcard kernels/cuda/*.cc) $(wildcard model/cuda/*.cc)
DEVICE := $(wildcard kernels/cuda/*.cu) $(wildcard model/cuda/*.cu)

OBJECTS := $(HOST:%=$(BUILD)/%.o) $(DEVICE:%=$(BUILD)/%.o)
LINK := -L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/lib -lcudart_static -ldl -lpthread -lrt

all: $(BUILD)/engine_cuda.so

objects: $(OBJECTS)

$(BUILD)/engine_cuda.so: $(OBJECTS)
	$(CXX) -shared -o $@ $^ $(LINK) -Wl,--exclude-libs,ALL -Wl,-z,defs

ifneq (,$(filter x86_64 amd64,$(shell uname -m)))
%_avx2.cc.o: ISA := -mavx2 -mfma -mf16c -mbmi2
%_avx512.cc.o: ISA := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mfma -mf16c
endif

$(BUILD)/%.cc.o: %.cc
	@mkdir -p $(@D)
	@echo "compile $<" && $(CXX) $(FLAGS) $(ISA) -c -o $@ $<

# The resource report stays beside the object: registers, shared memory, spills of each kernel.
$(BUILD)/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "nvcc $<" && $(NVCC) $(NVCC_FLAGS) -c -o $@ $< 2> $@.ptxas || (cat $@.ptxas; false)

# Fails where a kernel spills registers.
check: objects
	@! grep -H -E '[1-9][0-9]* bytes spill' $(DEVICE:%=$(BUILD)/%.o.ptxas)

clean:
	rm -rf $(BUILD)

.PHONY: all objects check clean
-include $(OBJECTS:.o=.d)
