#!/bin/sh
# Copies what the worker loads of libtorch, and nothing else of a Python environment.
#
#     copy-libtorch.sh cpu|cuda SITE_PACKAGES DESTINATION
#
# The loader itself is asked what each library needs, so the list follows the wheel: PyTorch's own build
# for CPUs needs less than the one of the package index, whose libtorch_cpu.so wants two of CUDA's
# libraries even where there is no GPU. The wheels' layout is kept, torch/lib beside nvidia/*/lib: the
# libraries find each other by paths relative to their own. Their licences come along.
set -eu

variant=$1
site=$(cd "$2" && pwd -P)
destination=$3

# Opened by name at run time, where no loader sees it coming: CUDA's part of libtorch by the worker, the
# linear algebra and the run-time compiler by libtorch, its engines by cuDNN.
opened_by_name() {
    case $variant in
    cpu) ;;
    cuda)
        ls "$site"/torch/lib/libtorch_cuda.so \
            "$site"/torch/lib/libtorch_cuda_linalg.so \
            "$site"/torch/lib/libcaffe2_nvrtc.so \
            "$site"/nvidia/cudnn/lib/libcudnn_*.so.* \
            "$site"/nvidia/cu*/lib/libnvrtc.so.* \
            "$site"/nvidia/cu*/lib/libnvrtc-builtins.so.*
        ;;
    *)
        echo "the variant is $variant, expected cpu or cuda" >&2
        exit 2
        ;;
    esac
}

roots=$(opened_by_name)
for library in "$site/torch/lib/libtorch_cpu.so" $roots; do
    # From the machine comes what glibc and the compiler's run time bring, and libcuda from the driver.
    needed=$(ldd "$library" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }')
    for file in "$library" $needed; do
        file=$(cd "$(dirname "$file")" && pwd -P)/$(basename "$file")
        case $file in
        "$site"/*)
            copy=$destination/${file#"$site"/}
            mkdir -p "$(dirname "$copy")"
            cp -L "$file" "$copy"
            ;;
        esac
    done
done

for licenses in "$site"/torch-*.dist-info/licenses "$site"/nvidia_*.dist-info/licenses; do
    [ -d "$licenses" ] || continue
    package=$(basename "$(dirname "$licenses")" .dist-info)
    mkdir -p "$destination/licenses"
    cp -R "$licenses" "$destination/licenses/$package"
done
