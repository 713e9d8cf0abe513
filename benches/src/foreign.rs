//! Baselines that are not built here: Node and Nchan, where they are installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::process::{Server, temp_dir};

const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

fn node_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

fn node(script: &'static str) -> Result<impl Fn() -> Result<Server>> {
    let has_node = Command::new("node").arg("--version").output().is_ok();
    ensure!(has_node, "no node");
    ensure!(node_folder().join("node_modules").is_dir(), "its packages are not installed");
    Ok(move || {
        let mut command = Command::new("node");
        command.arg(node_folder().join(script));
        Server::start(command, temp_dir()?)
    })
}

/// Node with `@grpc/grpc-js`.
///
/// # Errors
/// When it is not installed, with the reason.
pub fn node_grpc() -> Result<impl Fn() -> Result<Server>> {
    node("grpc.js")
}

/// Node with `node:http` and RxJS.
///
/// # Errors
/// When it is not installed, with the reason.
pub fn node_sse() -> Result<impl Fn() -> Result<Server>> {
    node("sse.js")
}

/// nginx with Nchan, one worker.
///
/// # Errors
/// When it is not installed, with the reason.
pub fn nchan() -> Result<impl Fn() -> Result<Server>> {
    ensure!(Path::new(NCHAN_MODULE).exists(), "no nginx with Nchan");
    Ok(|| {
        let dir = temp_dir()?;
        // nginx does not say which port it was given, so one is picked for it.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, nchan_config(dir.path(), &addr))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(&config);
        command.arg("-e").arg(dir.path().join("error.log"));
        Server::start_silent(command, dir, json!({ "http": addr, "feed": addr }))
    })
}

fn nchan_config(dir: &Path, addr: &str) -> String {
    let dir = dir.display();
    format!(
        "load_module {NCHAN_MODULE};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  nchan_shared_memory_size 256M;
  server {{
    listen {addr};
    tcp_nodelay on;
    keepalive_requests 1000000000;
    location = /pub {{
      nchan_publisher;
      nchan_channel_id bench;
      nchan_message_buffer_length 20000;
      nchan_message_timeout 1h;
    }}
    location = /stream {{
      nchan_subscriber eventsource;
      nchan_subscriber_first_message newest;
      nchan_channel_id bench;
    }}
  }}
}}
"
    )
}
