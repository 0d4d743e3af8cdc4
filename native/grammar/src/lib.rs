//! llguidance behind a C interface of a dozen functions, which native/engine/grammar_library.h
//! declares; the two change together, with `ABI`. It promises that no panic crosses, that every
//! failure is a sentence, and that equal grammars and tokens give equal masks. It holds no state of
//! its own: vocabularies, grammars and matchers are the caller's.

mod counting;

use std::os::raw::c_char;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokRxInfo, TokTrie};

const ABI: u32 = 1;

/// Vocabularies and grammars are used by several threads at once, matchers move between them.
const fn crosses_threads<T: Send + Sync>() {}
const fn moves<T: Send>() {}
const _: () = (crosses_threads::<ParserFactory>(), moves::<Matcher>(), crosses_threads::<Grammar>()).0;

/// A grammar that would take longer to compile, or more memory, is refused; the first two are about
/// a tenth of a second of one core, the third about 40 MB.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 4_000_000,
    step_lexer_fuel: 400_000,
    step_max_items: 100_000,
    max_lexer_states: 40_000,
    max_grammar_size: 300_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

/// What a model's tokens are, with all that grammars of this model share.
pub struct Vocabulary {
    factory: ParserFactory,
}

/// A compiled grammar, never moved from its start.
pub struct Grammar {
    start: Matcher,
}

/// Where the caller wants the sentence of a failure.
#[repr(C)]
pub struct Message {
    at: *mut c_char,
    bytes: usize,
}

impl Message {
    /// Cut to what fits, at a character's end; closed by a zero.
    fn write(&self, text: &str) {
        if self.at.is_null() || self.bytes == 0 {
            return;
        }
        let mut end = text.len().min(self.bytes - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // SAFETY: the caller gave room for `bytes`, of which end + 1 are written.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.at.cast(), end);
            *self.at.add(end) = 0;
        }
    }
}

/// Runs `work`; a failure or a panic is written to `message` and gives `failed`.
fn guarded<T>(message: &Message, failed: T, work: impl FnOnce() -> Result<T, String>) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => value,
        Ok(Err(text)) => {
            message.write(&text);
            failed
        }
        Err(_) => {
            message.write("the grammar library failed");
            failed
        }
    }
}

fn slice<'a, T>(at: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise for every pair of a pointer and a count.
    unsafe { std::slice::from_raw_parts(at, count) }
}

#[no_mangle]
pub extern "C" fn sluice_grammar_abi() -> u32 {
    ABI
}

/// The tokens as a caller hands them over: their bytes one after another, and how long each is.
/// A special token's begin with 0xff, so that no text can spell it.
#[repr(C)]
pub struct Tokens {
    bytes: *const u8,
    byte_count: usize,
    lengths: *const u32,
    count: usize,
    eos: *const u32,
    eos_count: usize,
}

fn make_vocabulary(tokens: &Tokens) -> Result<Vocabulary, String> {
    let bytes = slice(tokens.bytes, tokens.byte_count);
    let mut words = Vec::with_capacity(tokens.count);
    let mut at = 0;
    for &length in slice(tokens.lengths, tokens.count) {
        let end = at + length as usize;
        words.push(bytes.get(at..end).ok_or("token lengths exceed the bytes")?.to_vec());
        at = end;
    }
    let eos = slice(tokens.eos, tokens.eos_count);
    let first = *eos.first().ok_or("the model has no end-of-sequence token")?;
    if eos.iter().any(|&id| id as usize >= words.len()) {
        return Err("an end-of-sequence token lies outside of the vocabulary".into());
    }
    let info = TokRxInfo::new(words.len() as u32, first);
    let trie = TokTrie::from(&info, &words).with_eos_tokens(eos);
    // Never canonical: a forced text is left to the sampler's choice among its spellings, so that
    // a token follows from the mask alone.
    let env: toktrie::TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let slices = llguidance::earley::SlicedBiasComputer::general_slices();
    let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
        .map_err(|error| error.to_string())?;
    factory.quiet();
    *factory.limits_mut() = LIMITS;
    Ok(Vocabulary { factory })
}

#[no_mangle]
pub extern "C" fn sluice_vocabulary_new(tokens: &Tokens, message: &Message) -> *mut Vocabulary {
    guarded(message, std::ptr::null_mut(), || {
        make_vocabulary(tokens).map(|made| Box::into_raw(Box::new(made)))
    })
}

/// # Safety
/// `vocabulary` came from `sluice_vocabulary_new` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn sluice_vocabulary_free(vocabulary: *mut Vocabulary) {
    drop(Box::from_raw(vocabulary));
}

/// The first mask too: a grammar whose first token the vocabulary lacks fails here.
fn make_grammar(vocabulary: &Vocabulary, kind: &str, text: &str) -> Result<Grammar, String> {
    let parsed = TopLevelGrammar::from_tagged_str(kind, text).map_err(|e| e.to_string())?;
    let mut start = Matcher::new(vocabulary.factory.create_parser(parsed));
    if let Some(error) = start.get_error() {
        return Err(error);
    }
    start.compute_mask_or_eos().map_err(|_| {
        "no token of the model's vocabulary can begin what the grammar asks for".to_string()
    })?;
    Ok(Grammar { start })
}

/// `bytes`: what the grammar holds in memory, measured while it is compiled.
#[no_mangle]
pub extern "C" fn sluice_grammar_compile(
    vocabulary: &Vocabulary,
    kind: &Text,
    text: &Text,
    bytes: &mut u64,
    message: &Message,
) -> *mut Grammar {
    guarded(message, std::ptr::null_mut(), || {
        let before = counting::held_by_this_thread();
        let grammar = make_grammar(vocabulary, kind.str()?, text.str()?)?;
        *bytes = (counting::held_by_this_thread() - before).max(0) as u64;
        Ok(Box::into_raw(Box::new(grammar)))
    })
}

/// UTF-8, without a closing zero.
#[repr(C)]
pub struct Text {
    at: *const u8,
    bytes: usize,
}

impl Text {
    fn str(&self) -> Result<&str, String> {
        std::str::from_utf8(slice(self.at, self.bytes)).map_err(|e| e.to_string())
    }
}

/// # Safety
/// `grammar` came from `sluice_grammar_compile` and is not used again. Its matchers may live on.
#[no_mangle]
pub unsafe extern "C" fn sluice_grammar_free(grammar: *mut Grammar) {
    drop(Box::from_raw(grammar));
}

/// At the grammar's start; shares nothing that changes, so matchers run on any threads at once.
#[no_mangle]
pub extern "C" fn sluice_matcher_new(grammar: &Grammar, message: &Message) -> *mut Matcher {
    guarded(message, std::ptr::null_mut(), || {
        Ok(Box::into_raw(Box::new(grammar.start.deep_clone())))
    })
}

/// # Safety
/// `matcher` came from `sluice_matcher_new` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn sluice_matcher_free(matcher: *mut Matcher) {
    drop(Box::from_raw(matcher));
}

/// False where a token does not fit the grammar; the matcher is of no use then.
#[no_mangle]
pub extern "C" fn sluice_matcher_consume(
    matcher: &mut Matcher,
    ids: *const u32,
    count: usize,
    message: &Message,
) -> bool {
    guarded(message, false, || {
        matcher.consume_tokens(slice(ids, count)).map_err(|e| e.to_string())?;
        Ok(true)
    })
}

/// True where nothing can follow: the text is whole and the grammar knows no longer one.
#[no_mangle]
pub extern "C" fn sluice_matcher_stopped(matcher: &Matcher) -> bool {
    matcher.is_stopped()
}

/// The tokens that may come next, one bit an id, ends of sequence among them where the text is
/// whole. Words beyond the vocabulary are zero.
#[no_mangle]
pub extern "C" fn sluice_matcher_mask(
    matcher: &mut Matcher,
    words: *mut u32,
    word_count: usize,
    message: &Message,
) -> bool {
    guarded(message, false, || {
        let mask = matcher.compute_mask_or_eos().map_err(|e| e.to_string())?;
        let from = mask.as_slice();
        // SAFETY: the caller gave room for `word_count` words.
        let to = unsafe { std::slice::from_raw_parts_mut(words, word_count) };
        to.fill(0);
        let count = from.len().min(word_count);
        to[..count].copy_from_slice(&from[..count]);
        Ok(true)
    })
}
