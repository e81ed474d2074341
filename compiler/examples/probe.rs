use hecc::model::*;
use hecc::pipeline::{compile, Options};
use hecc_ir::Shape;
fn rnd(n: usize, s: f64) -> Vec<f64> { (0..n).map(|i| { let x=((i as f64*12.9898+s).sin()*43758.5453).fract(); x*s }).collect() }
fn layer(name:&str, kind:LayerKind, inputs:Vec<usize>, shape:Vec<usize>)->Layer{Layer{name:name.into(),kind,inputs:inputs.into_iter().map(LayerId).collect(),shape:Shape(shape)}}
fn sq()->LayerKind{LayerKind::Polynomial{coefficients:vec![0.0,0.0,1.0]}}
fn conv(co:usize,ci:usize,k:usize,s:usize,p:usize)->LayerKind{LayerKind::Conv(Conv{weight:rnd(co*ci*k*k,0.3),weight_shape:[co,ci,k,k],bias:rnd(co,0.1),stride:[s,s],padding:[p;4],dilation:[1,1],groups:1})}
fn dense(o:usize,i:usize)->LayerKind{LayerKind::Dense(Dense{weight:rnd(o*i,2.0/(i as f64).sqrt()),bias:rnd(o,0.1)})}
fn mv(n:usize)->LayerKind{LayerKind::Move{source:(0..n).collect()}}
fn pool()->LayerKind{LayerKind::AvgPool(AvgPool{kernel:[2,2],stride:[2,2],padding:[0;4],count_include_pad:true})}
fn main(){
 let which=std::env::args().nth(1).unwrap();
 let inp=layer("image",LayerKind::Input{range:(0.0,1.0)},vec![],vec![1,28,28]);
 let layers=match which.as_str(){
 "mlp"=>vec![inp,layer("flat",mv(784),vec![0],vec![784]),layer("fc1",dense(128,784),vec![1],vec![128]),layer("s1",sq(),vec![2],vec![128]),layer("fc2",dense(128,128),vec![3],vec![128]),layer("s2",sq(),vec![4],vec![128]),layer("fc3",dense(10,128),vec![5],vec![10])],
 "lola"=>vec![inp,layer("conv",conv(5,1,5,2,1),vec![0],vec![5,13,13]),layer("s1",sq(),vec![1],vec![5,13,13]),layer("flat",mv(845),vec![2],vec![845]),layer("fc1",dense(100,845),vec![3],vec![100]),layer("s2",sq(),vec![4],vec![100]),layer("fc2",dense(10,100),vec![5],vec![10])],
 _=>vec![inp,layer("conv1",conv(6,1,5,1,2),vec![0],vec![6,28,28]),layer("s1",sq(),vec![1],vec![6,28,28]),layer("p1",pool(),vec![2],vec![6,14,14]),layer("conv2",conv(16,6,5,1,0),vec![3],vec![16,10,10]),layer("s2",sq(),vec![4],vec![16,10,10]),layer("p2",pool(),vec![5],vec![16,5,5]),layer("flat",mv(400),vec![6],vec![400]),layer("fc1",dense(120,400),vec![7],vec![120]),layer("s3",sq(),vec![8],vec![120]),layer("fc2",dense(84,120),vec![9],vec![84]),layer("s4",sq(),vec![10],vec![84]),layer("fc3",dense(10,84),vec![11],vec![10])],
 };
 let output=LayerId(layers.len()-1);
 let model=Model{name:which.clone(),layers,output};
 let t=std::time::Instant::now();
 let c=compile(&model,&Options::default()).unwrap();
 println!("compile {:?}",t.elapsed());
 let p=&c.program.manifest.params;
 println!("N={} q={:?} p={:?} digit={} logqp={:.1} pred={:?} rel={:.2e} cost={:.1}ms",p.ring_degree,p.q.iter().map(|x|(*x as f64).log2()).collect::<Vec<_>>(),p.p.iter().map(|x|(*x as f64).log2()).collect::<Vec<_>>(),p.digit_limbs,p.log_qp(),c.prediction,c.prediction.relative(),c.cost_ns/1e6);
 if let Err(e)=hecc_ir::verify(&c.lowered){println!("VERIFY lowered {:?}",&e[..e.len().min(5)]);}
 if let Err(e)=hecc_ir::verify(&c.leveled){println!("VERIFY leveled {:?}",&e[..e.len().min(5)]);}
 let mut counts=std::collections::BTreeMap::new();
 for n in &c.leveled.nodes{ *counts.entry((c.leveled.sources[n.source.index()].clone(),n.op.mnemonic())).or_insert(0)+=1; }
 for (k,v) in counts{ if ["rotate","mul_plain","mul","rescale"].contains(&k.1){println!("{:?} {}",k,v);} }
 for (i,l) in c.plan.linear.iter().enumerate(){ if let Some(l)=l{ println!("{} fold {:?}",c.network.nodes[i].name,l.fold); for t in &l.terms{ if let hecc::packing::TermPlan::Map{prefold,diagonals,split}=t{println!("  prefold {:?} diags {} split {:?}",prefold,diagonals.len(),split);} } } }
 println!("keys {}",c.program.manifest.keys.rotations.len());
 let x=rnd(784,1.0).iter().map(|v|v.abs()).collect::<Vec<_>>();
 let y=hecc_ir::eval::eval(&c.leveled,&[x.clone()]);
 // network eval
 let mut vals:Vec<Vec<f64>>=vec![];
 for n in &c.network.nodes{ use hecc::sparsity::NodeKind::*; let v=match &n.kind{Input=>x.clone(),Activation(a)=>vals[a.operand.0].iter().map(|v|{let z=v+a.shift; z*z}).collect(),Linear(l)=>{let mut s=l.bias.clone(); for t in &l.terms{let mut v=vals[t.operand.0].clone(); for f in &t.factors{v=f.matrix.apply(&v);} for(a,b) in s.iter_mut().zip(v){*a+=t.scale*b;}} s}}; vals.push(v);}
 let r=&vals[c.network.output.0];
 println!("max diff {:e}",y[0].iter().zip(r).map(|(a,b)|(a-b).abs()).fold(0.0,f64::max));
 println!("{:?}",&r[..5]);
}
