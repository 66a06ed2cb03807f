//! Forward and backward of single operations, against PyTorch and against differences. Goldens by `scripts/golden_finetune.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use candle_core::{DType, Device, Result, Tensor, Var};
use headstock::engine::trainable::operations;
use headstock::inception::Window;
use support::operation_goldens::{Case, Operation, cases};
use support::units;

/// Output and gradients of a case by the operations on candle tensors.
fn operate(case: &Case, dtype: DType) -> Vec<(&'static str, Vec<f64>)> {
    let tensor = |numbers: &[f32], shape: [usize; 4]| {
        Tensor::from_slice(numbers, &shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    let input = Var::from_tensor(&tensor(&case.input, case.input_shape)).unwrap();
    let kernel = case.kernel.as_ref().map(|kernel| tensor(kernel, case.kernel_shape.unwrap()));
    let kernel = kernel.map(|kernel| Var::from_tensor(&kernel).unwrap());
    let output = match case.operation {
        Operation::Convolution => operations::convolution(&input, kernel.as_ref().unwrap(), &case.window),
        Operation::MaxPool => operations::max_pool(&input, &case.window),
        Operation::AveragePool { counts_padding } => operations::average_pool(&input, &case.window, counts_padding),
    };
    let output = output.unwrap();
    assert_eq!(output.dims(), case.output_shape, "{}", case.name);
    let functional = (&output * tensor(&case.by_output, case.output_shape)).unwrap().sum_all().unwrap();
    let gradients = functional.backward().unwrap();
    let mut results = vec![("output", numbers(&output)), ("by_input", numbers(gradients.get(&input).unwrap()))];
    results.extend(kernel.map(|kernel| ("by_kernel", numbers(gradients.get(&kernel).unwrap()))));
    results
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_operation_has_pytorchs_output_and_gradients() {
    let cases = cases();
    assert!(cases.len() > 40);
    for (dtype, bound) in [(DType::F64, 2e-7), (DType::F32, 1e-6)] {
        let mut worst = (0.0, String::new());
        for case in &cases {
            for (part, found) in operate(case, dtype) {
                let error = case.error(part, &found);
                assert!(error < bound, "{}, {part}, {dtype:?}: relative L2 {error:e}", case.name);
                if error > worst.0 {
                    worst = (error, format!("{} {part}", case.name));
                }
            }
        }
        println!("{dtype:?}: worst relative L2 {:.1e}, {}", worst.0, worst.1);
    }
}

#[test]
fn a_sketch_sees_an_error_of_one_number() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == "3x3_same_8").unwrap();
    for (part, mut found) in operate(case, DType::F64) {
        let norm = found.iter().map(|number| number * number).sum::<f64>().sqrt();
        found[7] += 1e-3 * norm;
        let error = case.error(part, &found);
        assert!((0.5e-3..2e-3).contains(&error), "{part}: {error:e}");
    }
}

/// A tensor to differentiate by: its shape, and what makes a number of it from one in [0, 1).
type Input<'a> = (&'a [usize], fn(f64) -> f64);

/// Holds the gradient of a function of some tensors, in float64, to central differences, number by number.
fn assert_gradient_is_that_of_differences(
    name: &str,
    inputs: &[Input<'_>],
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let step = 1e-5;
    let values: Vec<Vec<f64>> = inputs
        .iter()
        .enumerate()
        .map(|(input, (shape, range))| {
            let seed = format!("{name}/{input}");
            units(&seed).take(shape.iter().product()).map(|u| range(f64::from(u))).collect()
        })
        .collect();
    let tensor = |values: &[f64], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    // A sum with weights of its own for each number, so that no error cancels another.
    let functional = |tensors: &[Tensor]| {
        let output = function(tensors).unwrap();
        let weights: Vec<f64> = units(name).take(output.elem_count()).map(|u| f64::from(u) * 2.0 - 1.0).collect();
        (&output * tensor(&weights, output.dims())).unwrap().sum_all().unwrap()
    };
    let variables: Vec<Var> = values
        .iter()
        .zip(inputs)
        .map(|(values, (shape, _))| Var::from_tensor(&tensor(values, shape)).unwrap())
        .collect();
    let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
    let gradients = functional(&tensors).backward().unwrap();
    for (input, variable) in variables.iter().enumerate() {
        let gradient = numbers(gradients.get(variable).unwrap());
        let scale = gradient.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        assert!(scale > 1e-2, "{name}: no gradient to speak of");
        for (index, &found) in gradient.iter().enumerate() {
            let at = |shift: f64| {
                let mut moved = values[input].clone();
                moved[index] += shift;
                let mut tensors: Vec<Tensor> = tensors.iter().map(Tensor::detach).collect();
                tensors[input] = tensor(&moved, inputs[input].0);
                functional(&tensors).to_scalar::<f64>().unwrap()
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let error = (found - expected).abs() / scale;
            assert!(error < 1e-8, "{name}, input {input}, number {index}: {found} where differences say {expected}");
        }
    }
}

/// From -1 to 1.
fn both_signs(u: f64) -> f64 {
    u * 2.0 - 1.0
}

/// From 0.5 to 1.5.
fn near_one(u: f64) -> f64 {
    u + 0.5
}

#[test]
fn every_convolution_has_the_gradient_of_differences() {
    for (kernel, stride, padding, size) in [
        ([1, 1], 1, [0, 0], [3, 4]),
        ([3, 3], 1, [0, 0], [4, 5]),
        ([3, 3], 1, [1, 1], [4, 3]),
        ([3, 3], 2, [0, 0], [5, 7]),
        ([3, 3], 2, [0, 0], [6, 5]),
        ([5, 5], 1, [2, 2], [4, 5]),
        ([1, 7], 1, [0, 3], [3, 5]),
        ([7, 1], 1, [3, 0], [5, 3]),
        ([1, 3], 1, [0, 1], [3, 4]),
        ([3, 1], 1, [1, 0], [4, 3]),
    ] {
        let window = Window { kernel, stride, padding };
        assert_gradient_is_that_of_differences(
            &format!("{window:?}"),
            &[(&[2, size[0], size[1], 3], both_signs), (&[2, 3, kernel[0], kernel[1]], both_signs)],
            |inputs| operations::convolution(&inputs[0], &inputs[1], &window),
        );
    }
}

#[test]
fn every_pool_has_the_gradient_of_differences() {
    for (stride, padding, size) in [(2, [0, 0], [5, 7]), (2, [0, 0], [6, 5]), (1, [1, 1], [4, 5]), (1, [1, 1], [2, 1])]
    {
        let window = Window { kernel: [3, 3], stride, padding };
        let shape: &[usize] = &[2, size[0], size[1], 3];
        let name = |kind: &str| format!("{kind} {window:?} {size:?}");
        assert_gradient_is_that_of_differences(&name("max"), &[(shape, both_signs)], |inputs| {
            operations::max_pool(&inputs[0], &window)
        });
        for counts in [false, true] {
            assert_gradient_is_that_of_differences(&name("average"), &[(shape, both_signs)], |inputs| {
                operations::average_pool(&inputs[0], &window, counts)
            });
        }
    }
}

#[test]
fn batch_norm_relu_and_the_global_average_have_the_gradient_of_differences() {
    let maps: &[usize] = &[2, 3, 4, 5];
    let vector: &[usize] = &[5];
    assert_gradient_is_that_of_differences("relu", &[(maps, both_signs)], |inputs| operations::relu(&inputs[0]));
    assert_gradient_is_that_of_differences("global average", &[(maps, both_signs)], |inputs| {
        operations::global_average(&inputs[0])
    });
    let frozen: [Input<'_>; 5] =
        [(maps, both_signs), (vector, both_signs), (vector, near_one), (vector, near_one), (vector, both_signs)];
    assert_gradient_is_that_of_differences("batch norm, frozen", &frozen, |inputs| {
        operations::batch_norm(&inputs[0], [&inputs[1], &inputs[2]], Some(&inputs[3]), &inputs[4])
    });
    assert_gradient_is_that_of_differences(
        "batch norm of the batch",
        &[(maps, both_signs), (vector, near_one), (vector, both_signs)],
        |inputs| {
            let [mean, variance] = operations::batch_statistics(&inputs[0])?;
            operations::batch_norm(&inputs[0], [&mean, &variance], Some(&inputs[1]), &inputs[2])
        },
    );
}

#[test]
fn at_zero_relu_has_no_gradient_as_in_pytorch() {
    let maps = Var::from_slice(&[-1.0_f64, 0.0, 2.0], (1, 1, 1, 3), &Device::Cpu).unwrap();
    let gradients = operations::relu(&maps).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(numbers(gradients.get(&maps).unwrap()), [0.0, 0.0, 1.0]);
}
