"""Runs a Hugging Face model wholly in float64.

model.double() is not enough: the model code itself casts to float32 inside its norms, its rotary embedding and its
softmax. float64_everywhere() makes each such cast a cast to float64 for as long as it is active, so that the logits
are a reference whose own rounding is far below that of any float32 implementation. The model must be built and run
inside it, because the rotary frequencies are computed when the model is built.
"""

import contextlib

import torch


@contextlib.contextmanager
def float64_everywhere():
    tensor_to, tensor_float = torch.Tensor.to, torch.Tensor.float
    softmax = torch.nn.functional.softmax

    def widen(value):
        return torch.float64 if value is torch.float32 else value

    def to(self, *args, **kwargs):
        return tensor_to(self, *map(widen, args), **{key: widen(value) for key, value in kwargs.items()})

    def softmax_widened(values, dim=None, _stacklevel=3, dtype=None):
        return softmax(values, dim=dim, _stacklevel=_stacklevel, dtype=widen(dtype))

    default_dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.Tensor.to = to
    torch.Tensor.float = torch.Tensor.double
    torch.nn.functional.softmax = softmax_widened
    try:
        yield
    finally:
        torch.Tensor.to = tensor_to
        torch.Tensor.float = tensor_float
        torch.nn.functional.softmax = softmax
        torch.set_default_dtype(default_dtype)


def build(model_class, config, state):
    """A model of the current default dtype whose weights are the given float32 arrays."""
    model = model_class(config).to(torch.get_default_dtype())
    tensors = {name: torch.from_numpy(array).to(torch.get_default_dtype()) for name, array in state.items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    assert set(missing) <= tied and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model.eval()


def logits_float64(model_class, config, state, token_ids):
    """Logits [tokens, vocabulary] in float64, and a check that no layer fell back to float32."""
    with float64_everywhere(), torch.no_grad():
        model = build(model_class, config, state)
        narrow = []
        for name, module in model.named_modules():
            module.register_forward_hook(
                lambda _, __, output, name=name: narrow.append(name)
                if isinstance(output, torch.Tensor) and output.dtype != torch.float64
                else None
            )
        logits = model(torch.tensor([token_ids]), use_cache=False).logits[0]
    assert not narrow and logits.dtype == torch.float64, narrow
    return logits.numpy()


def logits_float32(model_class, config, state, token_ids):
    """The same in plain float32: its distance from float64 says what float32 rounding costs this model."""
    with torch.no_grad():
        model = build(model_class, config, state)
        return model(torch.tensor([token_ids]), use_cache=False).logits[0].numpy()
