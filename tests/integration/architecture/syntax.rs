//! What one source file says: its names, its imports, and every path in its code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree, Visibility};

/// A path as it is written, such as `super::chunk::Header`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CodePath {
    /// It begins with `::`, so its first part is a crate.
    pub(super) names_a_crate: bool,
    pub(super) parts: Vec<String>,
}

/// One name that a `use` brings in.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: CodePath,
    /// What it is called from here on; `None` for `*`.
    pub(super) name: Option<String>,
    /// It has a visibility: others may import it from here.
    pub(super) is_reexport: bool,
}

/// A module as its source says, without what is compiled for tests only.
#[derive(Debug, Default)]
pub(super) struct ModuleSyntax {
    /// Modules in files of their own.
    pub(super) files: Vec<String>,
    /// Modules that are written out in this file.
    pub(super) inline: Vec<(String, ModuleSyntax)>,
    /// Types and traits that are defined here: a path may go on behind them.
    pub(super) types: Vec<String>,
    /// Functions, constants and macros that are defined here.
    pub(super) values: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// All paths in the code, those within macros too.
    pub(super) paths: Vec<CodePath>,
}

impl ModuleSyntax {
    pub(super) fn parse(text: &str) -> syn::Result<Self> {
        Ok(Self::of(&syn::parse_file(text)?.items))
    }

    fn of(items: &[Item]) -> Self {
        let mut module = Self::default();
        items.iter().for_each(|item| module.visit_item(item));
        module
    }

    fn add_path(&mut self, names_a_crate: bool, parts: Vec<String>) {
        self.paths.push(CodePath { names_a_crate, parts });
    }
}

impl<'ast> Visit<'ast> for ModuleSyntax {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Const(_) | Item::Fn(_) | Item::Macro(_) | Item::Static(_) => {
                self.values.extend(name(item));
            }
            _ => self.types.extend(name(item)),
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        match &item.content {
            Some((_, items)) => self.inline.push((name, Self::of(items))),
            None => self.files.push(name),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        let start = CodePath { names_a_crate: item.leading_colon.is_some(), parts: Vec::new() };
        leaves(&item.tree, &start, &mut |path, name| {
            self.imports.push(Import { path, name, is_reexport });
        });
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|part| plain(&part.ident)).collect();
        self.add_path(path.leading_colon.is_some(), parts);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        visit::visit_macro(self, invoked);
        self.scan(invoked.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }

    /// `pub(in path)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

impl ModuleSyntax {
    /// Finds paths in tokens that have no syntax tree: what macros and attributes are given.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Ident(_) => {
                    let (parts, end) = path_at(&tokens, at);
                    if parts.len() > 1 || looks_like_a_name(&tokens, at) {
                        let names_a_crate = at >= 2 && is_colons(&tokens, at - 2);
                        self.add_path(names_a_crate, parts);
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// The path that begins with the identifier at `start`, and where it ends.
fn path_at(tokens: &[TokenTree], start: usize) -> (Vec<String>, usize) {
    let mut parts = Vec::new();
    let mut at = start;
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        parts.push(plain(ident));
        at += 1;
        if !is_colons(tokens, at) || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (parts, at)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))
}

/// Whether a lone identifier in tokens is a type, a constant or a call, and not a field.
fn looks_like_a_name(tokens: &[TokenTree], at: usize) -> bool {
    let TokenTree::Ident(ident) = &tokens[at] else { return false };
    let is_field = at > 0
        && matches!(&tokens[at - 1], TokenTree::Punct(mark) if mark.as_char() == '.')
        && !(at > 1 && matches!(&tokens[at - 2], TokenTree::Punct(mark) if mark.as_char() == '.'));
    let is_call = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    !is_field && (is_call || plain(ident).starts_with(char::is_uppercase))
}

fn leaves(tree: &UseTree, before: &CodePath, found: &mut dyn FnMut(CodePath, Option<String>)) {
    let with = |ident: &syn::Ident| {
        let mut path = before.clone();
        // `a::{self}` is `a`.
        if path.parts.is_empty() || ident != "self" {
            path.parts.push(plain(ident));
        }
        path
    };
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) => {
            let path = with(&name.ident);
            let name = path.parts.last().cloned();
            found(path, name);
        }
        UseTree::Rename(rename) => found(with(&rename.ident), Some(plain(&rename.rename))),
        UseTree::Glob(_) => found(before.clone(), None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

fn plain(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

/// Whether something is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = attribute.path().segments.last().is_some_and(|part| part.ident == "test");
        let is_cfg_test = match &attribute.meta {
            Meta::List(list) => list.path.is_ident("cfg") && requires_test(list.tokens.clone()),
            _ => false,
        };
        is_test || is_cfg_test
    })
}

/// `test`, or `all(test, …)`.
fn requires_test(condition: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    match &tokens[..] {
        [TokenTree::Ident(ident)] => ident == "test",
        [TokenTree::Ident(ident), TokenTree::Group(group)] if ident == "all" => {
            let is_test = |token| matches!(token, TokenTree::Ident(ident) if ident == "test");
            group.stream().into_iter().any(is_test)
        }
        _ => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(plain(ident))
}
