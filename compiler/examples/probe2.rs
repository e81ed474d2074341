use hecc::pipeline::{compile, Options};
fn main(){
 let m=hecc::front::load(std::path::Path::new(&std::env::args().nth(1).unwrap()),&Default::default()).unwrap();
 let data=hecc::front::data::DataSet::read(std::path::Path::new("examples/data/mnist_test_sample.npz")).unwrap();
 let t=std::time::Instant::now();
 let o=Options{samples:data.samples[..16].to_vec(),..Options::default()};
 let c=compile(&m,&o).unwrap();
 println!("compile {:?}",t.elapsed());
 let p=&c.program.manifest.params;
 println!("N={} q={:?} p={:?} digit={} logqp={:.1} pred={:?} rel={:.2e} cost={:.1}ms {:?}",p.ring_degree,p.q.iter().map(|x|(*x as f64).log2()).collect::<Vec<_>>(),p.p.iter().map(|x|(*x as f64).log2()).collect::<Vec<_>>(),p.digit_limbs,p.log_qp(),c.prediction,c.prediction.relative(),c.cost_ns/1e6,c.program.op_counts());
 if let Err(e)=hecc_ir::verify(&c.lowered){println!("VERIFY lowered {:?}",&e[..e.len().min(5)]);}
 if let Err(e)=hecc_ir::verify(&c.leveled){println!("VERIFY leveled {:?}",&e[..e.len().min(5)]);}
 if let Err(e)=c.program.verify(){println!("VERIFY program {:?}",&e[..e.len().min(5)]);}
 let (mut d,mut ok)=(0f64,0);
 for (x,l) in data.samples.iter().zip(data.labels.as_ref().unwrap()).take(20){ let y=hecc_ir::eval::eval(&c.leveled,&[x.clone()]).remove(0); let r=m.logits(x); d=d.max(y.iter().zip(&r).map(|(a,b)|(a-b).abs()).fold(0.0,f64::max)); ok+=(m.predict(x)==*l) as usize;}
 println!("max diff {d:e} correct {ok}/20");
}
