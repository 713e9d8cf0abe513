//! What browsers and other readers get.

mod openapi;
mod viewers;
mod websocket;
